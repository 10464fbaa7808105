"""How the host was started: where weights lie, in what they are stored and computed, which attention runs."""

from contextlib import contextmanager

import torch

from .sampling import Combination, Sampling
from .structures import model_of
from .weights import COMBINATIONS as OF_WEIGHTS

(WITH_LORA,) = [one for one in OF_WEIGHTS if one.name == "LoRA"]


def loaded_as_asked(sampling: Sampling):
    """The same weights in the dtype that the host's loaders choose under the flags."""
    import comfy.model_management as management
    stored = management.unet_dtype(model_params=1, supported_dtypes=[torch.float16, torch.bfloat16, torch.float32])
    computed = management.unet_manual_cast(stored, management.get_torch_device())
    tensors = sampling.model.model.diffusion_model.state_dict()
    sampling.model = model_of(sampling.pack, stored, computed, {name: tensor.to(stored) for name, tensor in
                                                                tensors.items()})


def weights_in_fp64(sampling: Sampling, work):
    latent = work()
    return latent, sum(weight.dtype == torch.float64 for weight in sampling.model.model.diffusion_model.parameters())


@contextmanager
def scarce_memory(model):
    """The host loads as if the CPU were a device that has room for half of the weights, as the flags --lowvram and
    --novram mean one."""
    import comfy.model_management as management
    load = management.load_models_gpu

    def short_of_memory(*arguments, **named):
        with replaced(management, vram_state=management.set_vram_to, is_device_cpu=lambda device: False,
                      get_free_memory=lambda *_: management.minimum_inference_memory() + model.model_size() // 2):
            return load(*arguments, **named)
    try:
        with replaced(management, load_models_gpu=short_of_memory):
            yield
    finally:
        management.unload_all_models()


@contextmanager
def replaced(module, **names):
    kept = {name: getattr(module, name) for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(kept)


def offloaded(sampling: Sampling):
    def run(made: Sampling) -> torch.Tensor:
        with scarce_memory(made.model):
            return made.sampled()
    sampling.runner = run


def offloaded_with_lora(sampling: Sampling):
    WITH_LORA.change(sampling)
    offloaded(sampling)


def leaves_cast_at_use(sampling: Sampling, work):
    """How many of the leaves the host gives to the UNet at each use, as the run is about to end."""
    counted = []
    sampled = sampling.sampled

    def counting():
        latent = sampled()
        counted.append(sum(hasattr(part, "prev_comfy_cast_weights")
                           for part in sampling.model.model.diffusion_model.modules()))
        return latent
    sampling.sampled = counting
    return work(), counted[-1]


def channels_last(sampling: Sampling):
    sampling.model.model.diffusion_model.to(memory_format=torch.channels_last)


def convolutions_in_channels_last(sampling: Sampling, work):
    latent = work()
    return latent, sum(part.weight.is_contiguous(memory_format=torch.channels_last) and not part.weight.is_contiguous()
                       for part in sampling.model.model.diffusion_model.modules() if isinstance(part, torch.nn.Conv2d))


def _attention_is(name: str):
    def counted(sampling: Sampling, work):
        from comfy.ldm.modules import attention
        chosen = attention.optimized_attention
        return work(), int(name in getattr(chosen, "__name__", "") or name in getattr(
            getattr(chosen, "__wrapped__", None), "__name__", ""))
    return counted


def nothing_more(sampling: Sampling):
    """The flag alone."""


def _by(flag: str, change, **more) -> Combination:
    return Combination(f"`{flag}`", "the host's flag", change, **more)


AT_USE = ("leaves whose weights are cast at use", leaves_cast_at_use)
# By the flags of the process that they need.
BY_FLAGS = {
    ("--lowvram",): [_by("--lowvram", offloaded, shown_by=AT_USE),
                     Combination("`--lowvram` with a LoRA", "the host's flag, LoraLoaderModelOnly",
                                 offloaded_with_lora, shown_by=AT_USE)],
    ("--novram",): [_by("--novram", offloaded, shown_by=AT_USE),
                    Combination("`--novram` with a LoRA", "the host's flag, LoraLoaderModelOnly", offloaded_with_lora,
                                shown_by=AT_USE)],
    ("--force-channels-last",): [_by("--force-channels-last", channels_last, shown_by=(
        "convolutions with weights in channels_last", convolutions_in_channels_last))],
    **{(flag,): [_by(flag, loaded_as_asked, second_order="before")] for flag in (
        "--fp8_e4m3fn-unet", "--fp8_e5m2-unet", "--bf16-unet", "--fp16-unet")},
    ("--fp64-unet",): [_by("--fp64-unet", loaded_as_asked, second_order="before",
                           shown_by=("weights in fp64", weights_in_fp64))],
    **{(flag,): [_by(flag, nothing_more, shown_by=(f"the host attends by {name}", _attention_is(name)))]
       for flag, name in (("--use-split-cross-attention", "attention_split"),
                          ("--use-quad-cross-attention", "attention_sub_quad"))},
}
