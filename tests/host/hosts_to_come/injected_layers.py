"""Motion modules, injected while the model is loaded, as AnimateDiff packs do it: behind the layers of each block, and
in front of an Upsample."""

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import Upsample
from comfy.patcher_extension import PatcherInjection


class MotionModule(torch.nn.Module):
    """Mixes the samples of a batch with each other."""

    def forward(self, x):
        return x + 0.1 * (x.mean(0, keepdim=True) - x).tanh()


def blocks_of(unet):
    return [*unet.input_blocks[1:], *unet.output_blocks]


def inject(patcher):
    for block in blocks_of(patcher.model.diffusion_model):
        place = len(block) - isinstance(block[-1], Upsample)
        block.insert(place, MotionModule())


def eject(patcher):
    for block in blocks_of(patcher.model.diffusion_model):
        for place in reversed(range(len(block))):
            if isinstance(block[place], MotionModule):
                del block[place]


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
        changed.set_injections("motion", [PatcherInjection(inject, eject)])
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_injected_layers": Change}
