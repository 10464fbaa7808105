"""A patch that the host nowhere looks for: it is of another pack, for models of another kind."""

ACTS = False


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
        changed.set_model_patch(lambda *given: given, "double_block_of_another_model")
        changed.set_model_patch_replace(lambda *given: given, "dit", "double_block", 3)
        changed.model_options["transformer_options"]["their_own_settings"] = {"strength": 1.0}
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_unheard_patch": Change}
