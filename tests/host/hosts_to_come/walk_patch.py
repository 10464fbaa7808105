"""The forward of the UNet looks for a patch behind its middle block: as ComfyUI 0.24 and later."""

import inspect
import textwrap

from comfy.ldm.modules.diffusionmodules import openaimodel

SOURCE = inspect.getsource(openaimodel.UNetModel._forward)
MIDDLE = "        for id, module in enumerate(self.output_blocks):\n"
ADDED = """        for p in transformer_patches.get("behind_the_middle", ()):
            h = p({"h": h, "transformer_options": transformer_options})["h"]
"""


def replaced():
    names = {}
    exec(textwrap.dedent(SOURCE.replace(MIDDLE, ADDED + MIDDLE)), vars(openaimodel), names)
    return names["_forward"]


openaimodel.UNetModel._forward = replaced()

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
        changed.set_model_patch(lambda given: {"h": given["h"] * 1.5}, "behind_the_middle")
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_walk_patch": Change}
