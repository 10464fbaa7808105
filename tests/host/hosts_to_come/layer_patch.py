"""Layers that a patch takes over by their class: the host has had the place for motion packs, and since 0.24 asks for
every layer."""

from comfy.ldm.modules.diffusionmodules import openaimodel


def down(layer, x, emb, context, transformer_options, output_shape, time_context, num_video_frames, indicator):
    return layer(x) * 1.4


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
        changed.set_model_patch((openaimodel.Downsample, down), "forward_timestep_embed_patch")
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_layer_patch": Change}
