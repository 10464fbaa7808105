"""Transformer blocks look for a patch around their feed-forward, which no host before had."""

from comfy.ldm.modules import attention

original = attention.BasicTransformerBlock.forward


def forward(self, x, context=None, transformer_options=None):
    out = original(self, x, context=context, transformer_options=transformer_options)
    for patch in transformer_options.get("patches", {}).get("behind_the_block", ()):
        out = patch(out, transformer_options["block_index"], transformer_options["block"])
    return out


attention.BasicTransformerBlock.forward = forward

ALONE = True  # it changes the host for all models of the process


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        changed = model.clone()
        changed.set_model_patch(lambda x, index, block: x * (1.02 + 0.01 * block[1]), "behind_the_block")
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_transformer_patch": Change}
