"""A SpatialTransformer stands inside a module of another pack."""

import torch
from comfy.ldm.modules.attention import SpatialTransformer


class Around(SpatialTransformer):
    """A transformer that leans on another one."""

    def __init__(self, inner):
        torch.nn.Module.__init__(self)
        self.inner = inner

    def forward(self, x, context=None, transformer_options=None):
        return x + 1.5 * (self.inner(x, context, transformer_options) - x)


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
        block = changed.model.diffusion_model.input_blocks[7]
        block[1] = Around(block[1])
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_wrapped_layer": Change}
