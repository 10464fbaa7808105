"""One ResBlock has an inner _forward of its own, which its forward calls."""

from types import MethodType


def forward(self, x, emb):
    return 0.8 * type(self)._forward(self, x, emb)


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
        block = changed.model.diffusion_model.output_blocks[3][0]
        block._forward = MethodType(forward, block)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_instance_inner_forward": Change}
