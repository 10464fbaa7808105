"""What conditionings say besides their words, and what sampling starts from."""

import torch

from .sampling import (
    PIXELS,
    SIZE,
    Combination,
    Sampling,
    core,
    demo_vae,
    extra,
    left_half,
    node,
    on_model,
    picture,
    sd15,
)


def areas(sampling: Sampling):
    left = node(core("ConditioningSetArea")(), sampling.cond(4), PIXELS // 2, PIXELS, 0, 0, 1.0)[0]
    right = node(core("ConditioningSetAreaPercentage")(), sampling.cond(5), 0.5, 1.0, 0.5, 0.0, 0.8)[0]
    sampling.positive = node(core("ConditioningCombine")(), node(core("ConditioningCombine")(), sampling.positive,
                                                                 left)[0], right)[0]


def masks(sampling: Sampling):
    masked = node(core("ConditioningSetMask")(), sampling.cond(4), left_half(), "default", 0.8)[0]
    bounded = node(core("ConditioningSetMask")(), sampling.cond(5), 1.0 - left_half(), "mask bounds", 1.0)[0]
    sampling.positive = sampling.positive + masked + bounded


def ranges(sampling: Sampling):
    """One prompt in the first quarter, then another."""
    set_range = core("ConditioningSetTimestepRange")()
    sampling.positive = (node(set_range, sampling.positive, 0.0, 0.25)[0]
                         + node(set_range, sampling.cond(4), 0.25, 1.0)[0])


def averaged(sampling: Sampling):
    sampling.positive = node(core("ConditioningAverage")(), sampling.positive, sampling.cond(4), 0.5)[0]


def longer(sampling: Sampling):
    sampling.positive = node(core("ConditioningConcat")(), sampling.positive, sampling.cond(4))[0]


def several(sampling: Sampling):
    sampling.positive = node(core("ConditioningCombine")(), sampling.positive, sampling.cond(4, tokens=154))[0]


def default_cond(sampling: Sampling):
    from comfy_extras.nodes_hooks import ConditioningSetDefaultAndCombine
    masked = node(core("ConditioningSetMask")(), sampling.positive, left_half(), "default", 1.0)[0]
    sampling.positive = node(ConditioningSetDefaultAndCombine, masked, sampling.cond(4))[0]


def _start(sampling: Sampling) -> torch.Tensor:
    return node(core("VAEEncode")(), demo_vae(), picture())[0]["samples"]


def image_to_image(sampling: Sampling):
    sampling.latent, sampling.denoise = {"samples": _start(sampling)}, 0.6


def inpaint(sampling: Sampling):
    sampling.latent = node(core("SetLatentNoiseMask")(), {"samples": _start(sampling)}, left_half())[0]


def inpaint_by_encoding(sampling: Sampling):
    sampling.latent = node(core("VAEEncodeForInpaint")(), demo_vae(), picture(), left_half(), 6)[0]


def slope() -> torch.Tensor:
    return torch.linspace(0.0, 1.0, PIXELS).repeat(1, PIXELS, 1)


def differential(sampling: Sampling):
    sampling.latent = node(core("SetLatentNoiseMask")(), {"samples": _start(sampling)}, slope())[0]
    on_model(extra("nodes_differential_diffusion", "DifferentialDiffusion"), 1.0)(sampling)


def inpaint_model(sampling: Sampling):
    sampling.positive, sampling.negative, sampling.latent = node(
        core("InpaintModelConditioning")(), sampling.positive, sampling.negative, picture(), demo_vae(), left_half(),
        True)


def instructions(sampling: Sampling):
    sampling.positive, sampling.negative, sampling.latent = node(
        extra("nodes_ip2p", "InstructPixToPixConditioning")(), sampling.positive, sampling.negative, picture(),
        demo_vae())


def nine_channels(pack) -> Sampling:
    return sd15(pack, in_channels=9)


def eight_channels(pack) -> Sampling:
    return sd15(pack, in_channels=8)


def _latent(batch: int, height: int = SIZE, width: int = SIZE):
    def change(sampling: Sampling):
        sampling.latent = {"samples": torch.zeros(batch, 4, height, width)}
    return change


def in_two_parts(sampling: Sampling):
    """The first steps with noise left over, and the others by a second sampler."""
    def parts(made: Sampling) -> torch.Tensor:
        import nodes
        first, second = nodes.KSamplerAdvanced(), nodes.KSamplerAdvanced()
        shared = (3, made.steps, made.cfg, made.sampler, made.scheduler)
        latent = first.sample(made.model, "enable", *shared, made.positive, made.negative, made.latent, 0, 3,
                              "enable")[0]
        return second.sample(made.model, "disable", *shared, made.cond(4), made.negative, latent, 3, made.steps,
                             "disable")[0]["samples"]
    sampling.runner = parts


def hires_fix(sampling: Sampling):
    """A second pass over the enlarged latent."""
    def passes(made: Sampling) -> torch.Tensor:
        import nodes
        first = nodes.common_ksampler(made.model, 3, made.steps, made.cfg, made.sampler, made.scheduler, made.positive,
                                      made.negative, made.latent)[0]
        larger = nodes.LatentUpscaleBy().upscale(first, "bislerp", 1.5)[0]
        return nodes.common_ksampler(made.model, 4, made.steps, made.cfg, made.sampler, made.scheduler, made.positive,
                                     made.negative, larger, denoise=0.5)[0]["samples"]
    sampling.runner = passes


COMBINATIONS = [
    Combination("Prompts by area", "ConditioningSetArea, ConditioningSetAreaPercentage", areas),
    Combination("Prompts by mask", "ConditioningSetMask", masks),
    Combination("Prompts by part of the schedule", "ConditioningSetTimestepRange", ranges),
    Combination("Average of two prompts", "ConditioningAverage", averaged),
    Combination("Prompts one behind the other", "ConditioningConcat", longer),
    Combination("Several prompts, one of them long", "ConditioningCombine", several),
    Combination("Default prompt where no mask is", "ConditioningSetDefaultCombine", default_cond),
    Combination("Image to image", "VAEEncode, KSampler with denoise 0.6", image_to_image),
    Combination("Inpaint with a mask", "SetLatentNoiseMask", inpaint),
    Combination("Inpaint from an empty place", "VAEEncodeForInpaint", inpaint_by_encoding),
    Combination("Differential diffusion", "DifferentialDiffusion", differential),
    Combination("Inpainting checkpoint (9 channels)", "InpaintModelConditioning", inpaint_model, base=nine_channels),
    Combination("InstructPix2Pix checkpoint (8 channels)", "InstructPixToPixConditioning", instructions,
                base=eight_channels),
    Combination("Batch of three", "EmptyLatentImage", _latent(3)),
    Combination("Odd size", "EmptyLatentImage", _latent(1, 15, 21)),
    Combination("Two samplers for one picture", "KSamplerAdvanced", in_two_parts),
    Combination("Hires fix", "LatentUpscaleBy, KSampler with denoise 0.5", hires_fix),
]
