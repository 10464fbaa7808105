"""The guider swaps its patcher for a delegate around another model when it takes the conds: as ComfyUI 0.18 and later
do under dynamic VRAM where a cond carries hooks."""

import copy

import comfy.samplers
import torch


def delegate_of(patcher):
    config = patcher.model.model_config  # one that answers everything cannot be copied
    other = copy.deepcopy(patcher.model, {id(config): config})
    with torch.no_grad():
        for name, parameter in other.diffusion_model.named_parameters():
            if name.endswith("to_v.weight"):
                parameter.mul_(1.5)
    delegate = patcher.clone()
    delegate.model = other
    delegate.backup, delegate.object_patches_backup, delegate.pinned = {}, {}, set()
    return delegate


original = comfy.samplers.CFGGuider.inner_set_conds


def inner_set_conds(self, conds):
    if self.model_patcher.get_attachment("delegated"):
        self.model_patcher = delegate_of(self.model_patcher)
    return original(self, conds)


comfy.samplers.CFGGuider.inner_set_conds = inner_set_conds


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
        changed.set_attachments("delegated", True)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_delegate_in_the_guider": Change}
