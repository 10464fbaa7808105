"""Output block patches join the trunk and the skip themselves and give no skip back: ComfyUI 0.24 and later take it."""

import inspect
import textwrap

import torch
from comfy.ldm.modules.diffusionmodules import openaimodel

SOURCE = inspect.getsource(openaimodel.UNetModel._forward)
JOIN = "            h = th.cat([h, hsp], dim=1)\n            del hsp\n"
OPEN_JOIN = "            if hsp is not None:\n                h = th.cat([h, hsp], dim=1)\n                del hsp\n"

if JOIN in SOURCE:
    names = {}
    code = compile(textwrap.dedent(SOURCE.replace(JOIN, OPEN_JOIN)), openaimodel.__file__, "exec")
    exec(code, vars(openaimodel), names)
    openaimodel.UNetModel._forward = names["_forward"]


def join(h, skip, options):
    return (torch.cat([h, skip * 0.5], dim=1), None) if options["block"][1] % 2 else (h, skip)

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
        changed.set_model_output_block_patch(join)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_skip_of_none": Change}
