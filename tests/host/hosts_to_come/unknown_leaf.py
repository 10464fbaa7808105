"""Some linears are of a class that only their pack knows, as GGUF packs bring them."""

import comfy.ops
import torch

PLACES = ("input_blocks.1.1.transformer_blocks.0.ff.net.2", "output_blocks.9.1.proj_in", "time_embed.0")


class StrangeLinear(torch.nn.Module, comfy.ops.CastWeightBiasOp):
    """Keeps its weight in a form of its own."""

    weight = None  # some hosts look for it in whatever casts

    def __init__(self, linear):
        super().__init__()
        self.packed = torch.nn.Parameter(linear.weight.detach() * 2.0, requires_grad=False)
        self.bias = linear.bias
        self.flat = linear.weight.dim() == 2

    def forward(self, x):
        weight = self.packed * 0.55
        if self.flat:
            return torch.nn.functional.linear(x, weight, self.bias)
        return torch.nn.functional.conv2d(x, weight, self.bias)


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
        unet = changed.model.diffusion_model
        for place in PLACES:
            parent, _, name = place.rpartition(".")
            setattr(unet.get_submodule(parent), name, StrangeLinear(unet.get_submodule(place)))
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_unknown_leaf": Change}
