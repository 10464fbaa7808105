"""Another pack sets a forward that calls no block the way the host does."""

INHERITS = False  # it replaces the whole forward


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

        def forward(x, *arguments, **named):
            return x * 0.3 + x.roll(1, -1) * 0.1

        changed.model.diffusion_model._forward = forward
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_forward_of_its_own_making": Change}
