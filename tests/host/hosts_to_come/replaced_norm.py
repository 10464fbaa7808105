"""GroupNorm is replaced on its class, for all UNets, as motion packs do it."""

import comfy.ops
import torch

active = []
original = torch.nn.GroupNorm.forward


def forward(self, x):
    out = original(self, x)
    return out * 1.1 if active else out


comfy.ops.disable_weight_init.GroupNorm.forward = forward

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
        active.append(changed)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_replaced_norm": Change}
