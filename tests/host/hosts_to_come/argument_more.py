"""The forward of the UNet takes one argument more, which what calls it hands on."""

from comfy import patcher_extension
from comfy.ldm.modules.diffusionmodules import openaimodel

original, original_outer = openaimodel.UNetModel._forward, openaimodel.UNetModel.forward


def _forward(self, x, timesteps=None, context=None, y=None, control=None, transformer_options=None, gain=None, **more):
    out = original(self, x, timesteps, context, y, control, transformer_options, **more)
    return out if gain is None else out * gain


def forward(self, x, timesteps=None, context=None, y=None, control=None, transformer_options=None, **more):
    return patcher_extension.WrapperExecutor.new_class_executor(
        self._forward, self, patcher_extension.get_all_wrappers(
            patcher_extension.WrappersMP.DIFFUSION_MODEL, transformer_options)
    ).execute(x, timesteps, context, y, control, transformer_options, transformer_options.get("gain"), **more)


openaimodel.UNetModel._forward, openaimodel.UNetModel.forward = _forward, forward

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
        changed.model_options["transformer_options"]["gain"] = 0.9
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_argument_more": Change}
