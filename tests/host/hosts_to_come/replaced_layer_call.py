"""The function that calls the layers of a block is replaced, as older AnimateDiff packs do it."""

from comfy.ldm.modules.diffusionmodules import openaimodel

original = openaimodel.forward_timestep_embed
marked = []


def forward_timestep_embed(ts, x, *arguments, **named):
    out = original(ts, x, *arguments, **named)
    return out * 1.05 if any(layer is part for layer in ts for part in marked) else out


openaimodel.forward_timestep_embed = forward_timestep_embed

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
        marked[:] = [changed.model.diffusion_model.input_blocks[2][1]]
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_replaced_layer_call": Change}
