"""Convolutions pad by going round, for pictures that tile."""

import torch


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
        for part in changed.model.diffusion_model.modules():
            if isinstance(part, torch.nn.Conv2d) and part.kernel_size == (3, 3):
                part.padding_mode = "circular"
                part._reversed_padding_repeated_twice = [1, 1, 1, 1]
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_convolution_that_wraps": Change}
