"""The MODEL is cloned around another model object, with weights of its own, by a node behind."""

import copy

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
        config = model.model.model_config  # one that answers everything cannot be copied
        other = copy.deepcopy(model.model, {id(config): config})
        with torch.no_grad():
            for name, parameter in other.diffusion_model.named_parameters():
                if name.endswith("to_q.weight"):
                    parameter.mul_(1.5)
        changed = model.clone()
        changed.model = other
        changed.backup, changed.object_patches_backup, changed.pinned = {}, {}, set()
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_clone_around_another": Change}
