"""A model is deep-copied while it is loaded, with all that stands on it, and patched after that."""

import copy

import comfy.model_management
import torch

ORDERS = ("behind",)


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        comfy.model_management.load_models_gpu([model])
        changed = model.clone()
        config = model.model.model_config  # one that answers everything cannot be copied
        changed.model = copy.deepcopy(model.model, {id(config): config})
        changed.backup, changed.object_patches_backup, changed.pinned = {}, {}, set()
        weight = changed.model.diffusion_model.middle_block[1].proj_out.weight
        patch = ("diff", (torch.ones_like(weight) * 0.05,))
        changed.add_patches({"diffusion_model.middle_block.1.proj_out.weight": patch})
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_loaded_deep_copy": Change}
