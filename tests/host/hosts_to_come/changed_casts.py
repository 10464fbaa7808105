"""The host casts weights by functions of other arguments, which give something else."""

import comfy.ops
import torch

ACTS = False
original, original_back = comfy.ops.cast_bias_weight, comfy.ops.uncast_bias_weight


class Cast:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias


def cast_bias_weight(*, module, like):
    return Cast(*original(module, like)[:2])


def forward(self, x):
    cast = comfy.ops.cast_bias_weight(module=self, like=x)
    return torch.nn.functional.linear(x, cast.weight, cast.bias)


def convolve(self, x):
    cast = comfy.ops.cast_bias_weight(module=self, like=x)
    return self._conv_forward(x, cast.weight, cast.bias)


comfy.ops.cast_bias_weight = cast_bias_weight
comfy.ops.disable_weight_init.Linear.forward_comfy_cast_weights = forward
comfy.ops.disable_weight_init.Conv2d.forward_comfy_cast_weights = convolve

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
        unet = changed.model.diffusion_model
        for part in (unet.input_blocks[5][0].in_layers[2], unet.middle_block[1].transformer_blocks[0].attn2.to_k):
            part.comfy_cast_weights = True
            part.weight_function = [lambda weight: weight]
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_changed_casts": Change}
