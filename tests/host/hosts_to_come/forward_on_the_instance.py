"""Another pack sets the whole forward of the UNet, on the instance, as an object patch."""

from comfy.ldm.modules.diffusionmodules import openaimodel

INHERITS = False  # it replaces the whole forward


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

        def forward(x, *arguments, **named):
            return openaimodel.UNetModel._forward(unet, x * 0.9, *arguments, **named) * 1.1

        changed.add_object_patch("diffusion_model._forward", forward)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_forward_on_the_instance": Change}
