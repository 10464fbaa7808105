"""The MODEL is merged with another one by the host, which patches its weights at load."""

import torch


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
        found = changed.get_key_patches("diffusion_model.")
        weights = {name: patches[0][0] for name, patches in found.items() if name.endswith("to_out.0.weight")}
        changed.add_patches({name: (torch.flip(weight, (0,)),) for name, weight in weights.items()}, 0.4, 0.6)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_merged": Change}
