"""A model config that has every attribute, and None in each: as ComfyUI 0.4 and later."""

ACTS = False


def getattr_none(self, name):
    return None


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
        kind = type(changed.model.model_config)
        changed.model.model_config.__class__ = type(kind.__name__, (kind,), {"__getattr__": getattr_none})
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_config_that_answers_everything": Change}
