"""One ResBlock has a forward of its own."""

from types import MethodType


def forward(self, x, emb):
    return 1.2 * type(self).forward(self, x, emb)


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
        block = changed.model.diffusion_model.input_blocks[4][0]
        block.forward = MethodType(forward, block)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_instance_forward": Change}
