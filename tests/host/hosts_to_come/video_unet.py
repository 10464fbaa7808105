"""A video UNet of the host's (SVD): its ResBlocks and transformers look across the frames of the batch."""

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch

ACTS = False
FRAMES = 3
TOKENS = 7  # each place of the picture looks at them once more over time; this family has one, of a picture
CONFIG = {
    "image_size": 32, "out_channels": 4, "use_spatial_transformer": True, "legacy": False, "model_channels": 64,
    "in_channels": 8, "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "context_dim": 1024,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "use_linear_in_transformer": True,
    "adm_in_channels": 768, "num_classes": "sequential", "use_temporal_attention": True, "use_temporal_resblock": True,
    "extra_ff_mix_layer": True, "use_spatial_context": True, "merge_strategy": "learned_with_images",
    "merge_factor": 0.5, "video_kernel_size": [3, 1, 1], "disable_temporal_crossattention": False,
    "max_ddpm_temb_period": 10000, "dtype": torch.float32,
}


def model(fill):
    """A MODEL of the host's, filled by `fill`."""
    config = comfy.supported_models.SVD_img2vid(dict(CONFIG))
    config.set_inference_dtype(torch.float32, None)
    made = config.get_model({}, "")
    fill(made.diffusion_model)
    return comfy.model_patcher.ModelPatcher(made, load_device=comfy.model_management.get_torch_device(),
                                            offload_device=comfy.model_management.unet_offload_device())


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        return (model.clone(),)


NODE_CLASS_MAPPINGS = {"HostToCome_video_unet": Change}
