"""A pack writes into the weights of the loaded model before each run, in place, and tells nobody."""

from comfy.patcher_extension import WrappersMP

PLACES = ("input_blocks.4.1.transformer_blocks.0.attn2.to_k", "output_blocks.9.0.skip_connection", "out.2")


def around(executor, *arguments, **named):
    unet = executor.class_obj.model_patcher.model.diffusion_model
    weights = [unet.get_submodule(place).weight for place in PLACES]
    try:
        for weight in weights:
            weight.data.mul_(1.5)
        return executor(*arguments, **named)
    finally:
        for weight in weights:
            weight.data.div_(1.5)


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
        changed.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "another pack", around)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_weights_between_runs": Change}
