"""Transformer blocks that torch compiles one by one."""

import torch

ACTS = False


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
        for block in (unet.input_blocks[2], unet.output_blocks[9]):
            blocks = block[1].transformer_blocks
            blocks[0] = torch.compile(blocks[0], backend="eager")
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_compiled_block": Change}
