"""Another pack wraps the call of the UNet, and changes what goes in and what comes out."""

from comfy.patcher_extension import WrappersMP


def around(executor, x, *arguments, **named):
    return executor(x * 1.1, *arguments, **named) * 0.95


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
        changed.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "another pack", around)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_wrapper_that_changes_x": Change}
