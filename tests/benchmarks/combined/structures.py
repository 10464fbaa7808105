"""Checkpoints of other kinds, and how they are to be sampled."""

import torch
from support import models

from .sampling import SIZE, WIDTH, Combination, Sampling, extra, node, of_model, of_preset, on_model

SAMPLING = "nodes_model_advanced"


def _sampled_as(kind: str, *inputs):
    return on_model(extra(SAMPLING, kind), *inputs)


def few_steps(sampling: Sampling):
    """As LCM checkpoints and LoRAs are sampled."""
    _sampled_as("ModelSamplingDiscrete", "lcm", False)(sampling)
    sampling.sampler, sampling.scheduler, sampling.steps, sampling.cfg = "lcm", "sgm_uniform", 4, 1.5


def lightning(sampling: Sampling):
    """As Lightning and Hyper checkpoints are sampled."""
    sampling.scheduler, sampling.steps, sampling.cfg = "sgm_uniform", 8, 1.0


def turbo(sampling: Sampling):
    sampling.sigmas = node(extra("nodes_custom_sampler", "SDTurboScheduler")(), sampling.model, 4, 1.0)[0]
    sampling.sampler, sampling.cfg = "euler_ancestral", 1.0


def sizes(sampling: Sampling):
    """What CLIPTextEncodeSDXL adds."""
    for conds in (sampling.positive, sampling.negative):
        for _, extra_values in conds:
            extra_values.update(width=1536, height=640, crop_w=64, crop_h=0, target_width=512, target_height=2048)


def aesthetic_score(sampling: Sampling):
    """What CLIPTextEncodeSDXLRefiner adds."""
    for conds, score in ((sampling.positive, 9.0), (sampling.negative, 1.0)):
        for _, extra_values in conds:
            extra_values.update(aesthetic_score=score, width=1536, height=640)


def video(pack) -> Sampling:
    """SVD, whose layers look across frames."""
    import comfy.supported_models
    config = comfy.supported_models.SVD_img2vid({
        "image_size": 32, "out_channels": 4, "use_spatial_transformer": True, "legacy": False, "model_channels": 64,
        "in_channels": 8, "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "context_dim": 1024,
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "use_linear_in_transformer": True,
        "adm_in_channels": 768, "num_classes": "sequential", "use_temporal_attention": True,
        "use_temporal_resblock": True, "extra_ff_mix_layer": True, "use_spatial_context": True,
        "merge_strategy": "learned_with_images", "merge_factor": 0.5, "video_kernel_size": [3, 1, 1],
        "disable_temporal_crossattention": False, "max_ddpm_temb_period": 10000, "dtype": torch.float32})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    models.random_unet_(model.diffusion_model)
    made = of_model(_patcher(model), pack, latent={"samples": torch.zeros(3, 4, SIZE, SIZE)}, cfg=2.5)
    made.positive, made.negative = made.cond(1, tokens=1), made.cond(2, tokens=1)
    return made


def _patcher(model):
    import comfy.model_management
    import comfy.model_patcher
    return comfy.model_patcher.ModelPatcher(model, load_device=comfy.model_management.get_torch_device(),
                                            offload_device=comfy.model_management.unet_offload_device())


def frames(sampling: Sampling):
    """What SVD_img2vid_Conditioning adds, and guidance that grows over the frames."""
    shown = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(31))
    for conds in (sampling.positive, sampling.negative):
        for _, extra_values in conds:
            extra_values.update(concat_latent_image=shown, motion_bucket_id=200, fps=12, augmentation_level=0.1)
    sampling.model = node(extra("nodes_video_model", "VideoLinearCFGGuidance")(), sampling.model, 1.0)[0]


def model_of(pack, stored, computed, tensors: dict, **settings):
    """A MODEL as the host makes it of a checkpoint with these tensors; `settings`: what its loaders note of a file."""
    config = pack.loader.model_config(models.spec(pack, "sd15", WIDTH))
    for name, value in settings.items():
        setattr(config, name, value)
    config.set_inference_dtype(stored, computed)
    model = config.get_model({}, "")
    model.load_model_weights(tensors, "")
    return _patcher(model)


def _in_fp8(sampling: Sampling, scale_name: str) -> dict:
    """The tensors of the model, its transformers' linears in fp8 with the scale that fits each."""
    tensors = {}
    for name, tensor in sampling.model.model.diffusion_model.state_dict().items():
        if ".transformer_blocks." in name and name.endswith(".weight") and tensor.dim() == 2:
            scale = tensor.abs().max() / 448.0
            tensors[name] = (tensor / scale).to(torch.float8_e4m3fn)
            tensors[name.removesuffix("weight") + scale_name] = scale
        else:
            tensors[name] = tensor
    return tensors


def _quantised(sampling: Sampling, tensors: dict):
    """The MODEL of a newer host, which makes one kind of layer of both kinds of file. Two numbers as the mark of such a
    file mean that products are made in full precision."""
    import comfy.utils
    marked = {**tensors, "scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}
    converted, _ = comfy.utils.convert_old_quants(marked, "", metadata={})
    return model_of(sampling.pack, torch.float32, torch.float32, converted,
                    quant_config=comfy.utils.detect_layer_quantization(converted, ""))


def _has_one_kind_of_quantised_layer() -> bool:
    import comfy.utils
    return hasattr(comfy.utils, "convert_old_quants")


def scaled_fp8(sampling: Sampling):
    tensors = _in_fp8(sampling, "scale_weight")
    if _has_one_kind_of_quantised_layer():
        sampling.model = _quantised(sampling, tensors)
    else:
        sampling.model = model_of(sampling.pack, torch.float32, None, tensors, scaled_fp8=torch.float8_e4m3fn)


def mixed_precision(sampling: Sampling):
    if _has_one_kind_of_quantised_layer():
        sampling.model = _quantised(sampling, _in_fp8(sampling, "scale_weight"))
        return
    tensors = _in_fp8(sampling, "weight_scale")
    layers = {name.removesuffix(".weight_scale"): {"format": "float8_e4m3fn"} for name in tensors
              if name.endswith(".weight_scale")}
    sampling.model = model_of(sampling.pack, torch.float32, torch.float32, tensors, layer_quant_config=layers)


class PackedLinear(torch.nn.Module):
    """As GGUF packs have it: the weight lies in blocks of small numbers with a scale each, unpacked at each use."""

    BLOCK = 16

    def __init__(self, linear):
        super().__init__()
        blocks = linear.weight.detach().reshape(-1, self.BLOCK)
        scales = blocks.abs().amax(dim=1, keepdim=True) / 7
        self.register_buffer("packed", (blocks / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)
        self.bias, self.shape = linear.bias, linear.weight.shape

    def forward(self, x):
        weight = (self.packed * self.scales).reshape(self.shape)
        return torch.nn.functional.linear(x, weight.to(x), self.bias)


def packed_weights(sampling: Sampling):
    sampling.model = sampling.model.clone()
    for part in list(sampling.model.model.diffusion_model.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(part, name, PackedLinear(child))


SDXL, REFINER, SD21 = of_preset("sdxl", 64), of_preset("sdxl_refiner", 64), of_preset("sd21", 64)
COMBINATIONS = [
    Combination("SDXL", "CLIPTextEncodeSDXL", sizes, base=SDXL),
    Combination("SDXL refiner", "CLIPTextEncodeSDXLRefiner", aesthetic_score, base=REFINER),
    Combination("SD2.1 with RescaleCFG", "RescaleCFG", _sampled_as("RescaleCFG", 0.7), base=SD21),
    Combination("v-prediction with zero terminal SNR", "ModelSamplingDiscrete",
                _sampled_as("ModelSamplingDiscrete", "v_prediction", True)),
    Combination("x0-prediction", "ModelSamplingDiscrete", _sampled_as("ModelSamplingDiscrete", "x0", False)),
    Combination("EDM", "ModelSamplingContinuousEDM",
                _sampled_as("ModelSamplingContinuousEDM", "eps", 80.0, 0.002)),
    Combination("Continuous v-prediction", "ModelSamplingContinuousV",
                _sampled_as("ModelSamplingContinuousV", "v_prediction", 500.0, 0.03)),
    Combination("Computed in bf16", "ModelComputeDtype", _sampled_as("ModelComputeDtype", "bf16"), rounds=True),
    Combination("LCM, 4 steps", "ModelSamplingDiscrete, lcm, cfg 1.5", few_steps),
    Combination("Lightning, 8 steps", "KSampler with sgm_uniform, cfg 1", lightning, base=SDXL),
    Combination("Turbo, 4 steps", "SDTurboScheduler", turbo),
    Combination("Video (SVD)", "SVD_img2vid_Conditioning, VideoLinearCFGGuidance", frames, base=video),
    Combination("Scaled fp8 checkpoint", "as the host loads it", scaled_fp8, second_order="before"),
    Combination("Checkpoint with layers quantised to fp8", "as the host loads it", mixed_precision,
                second_order="before"),
    Combination("Packed weights (GGUF)", "as packs do it: linears of a class of their own", packed_weights),
]
