"""Finds the weights of the host's modules for the native engine, and says where it must not touch them."""

from dataclasses import dataclass
from functools import partial

import comfy.ops
import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import openaimodel

from . import native
from .assembled_unet import AssembledUNet, RemovedTransformerBlock, SpecBuffer
from .experts_res_block import ExpertsResBlock

_CONTAINERS = frozenset((
    openaimodel.UNetModel, openaimodel.TimestepEmbedSequential, openaimodel.ResBlock, openaimodel.Upsample,
    openaimodel.Downsample, attention.SpatialTransformer, attention.BasicTransformerBlock, attention.CrossAttention,
    attention.FeedForward, attention.GEGLU, torch.nn.ModuleList, torch.nn.Sequential, torch.nn.SiLU,
    torch.nn.Dropout, torch.nn.Identity, torch.nn.ModuleDict, AssembledUNet, RemovedTransformerBlock, SpecBuffer,
    ExpertsResBlock,
))
_LEAF_KINDS = ("Linear", "Conv2d", "GroupNorm", "LayerNorm")
_LEAVES = frozenset(getattr(family, kind) for family in (comfy.ops.disable_weight_init, comfy.ops.manual_cast)
                    for kind in _LEAF_KINDS)
_HOST_CODE = (
    (openaimodel, ("forward_timestep_embed", "apply_control")),
    (openaimodel.UNetModel, ("_forward",)),
    (openaimodel.ResBlock, ("forward", "_forward")),
    (attention.SpatialTransformer, ("forward",)),
    (attention.BasicTransformerBlock, ("forward",)),
    (attention.CrossAttention, ("forward",)),
)


class Refusal(Exception):
    """The engine must leave this call to the host; the message says why."""


@dataclass(frozen=True, eq=False)
class ResolvedWeights:
    """The weights of a model, for use until the host moves or patches them."""

    source: object  # native WeightSource
    all_resident: bool  # the host is asked for none at the time of use: all lie where they lie


def check_structure(diffusion_model, unet):
    """Raises Refusal where the modules are not those the engine was built for: other packs replace forwards, inject
    layers (AnimateDiff) or bring leaves of their own (quantised weights)."""
    for owner, names in _HOST_CODE:
        for name in names:
            if getattr(owner, name).__module__ != (owner.__name__ if owner is openaimodel else owner.__module__):
                raise Refusal(f"{owner.__name__}.{name} was replaced by {getattr(owner, name).__module__}")
    for name, module in diffusion_model.named_modules():
        if type(module) not in _CONTAINERS and type(module) not in _LEAVES:
            raise Refusal(f"module {name} is a {type(module).__module__}.{type(module).__qualname__}")
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__:
            raise Refusal(f"module {name} has a forward hook or another forward")
    blocks = {}
    for _, key in unet.layers():
        block, _, index = key.rpartition(".")
        blocks.setdefault(block, []).append(index)
    for block, indices in blocks.items():
        found = list(diffusion_model.get_submodule(block)._modules)
        if found != indices:
            raise Refusal(f"{block} has the layers {found}, expected {indices}")


def _needs_host(module, device) -> bool:
    """Whether only the host knows the effective weight: offloaded, or patched at the time of use."""
    tensors = [t for t in (module.weight, module.bias) if t is not None]
    return bool(module.weight_function or module.bias_function or any(t.device != device for t in tensors))


def _fetch(modules, leaf: int, like):
    """Weight and bias of `modules[leaf]` as the host would use them on `like`; the third value gives them back."""
    module = modules[leaf]
    weight, bias, stream = comfy.ops.cast_bias_weight(module, like, offloadable=True)
    release = None
    if stream is not None:
        release = partial(comfy.ops.uncast_bias_weight, module, weight, bias, stream)
    return weight, bias, release


def host_weights(diffusion_model, unet, device) -> ResolvedWeights:
    """The weights in the modules of `diffusion_model`.

    Raises Refusal for leaves whose weights are no plain tensors.
    """
    check_structure(diffusion_model, unet)
    modules = [diffusion_model.get_submodule(name) for name, _, _ in unet.leaves()]
    leaves = []
    for module in modules:
        weight, bias = module.weight, getattr(module, "bias", None)
        if type(weight) not in (torch.nn.Parameter, torch.Tensor):
            raise Refusal(f"a weight is a {type(weight).__name__}")
        leaves.append(None if _needs_host(module, device) else (weight, bias))
    source = native.native_module().HostWeights(unet, leaves, partial(_fetch, modules))
    return ResolvedWeights(source, all_resident=None not in leaves)


def residency(base_model) -> tuple:
    """Changes whenever the host may have moved or patched weights; some of those moves fire no callback."""
    patcher = base_model.current_patcher
    return (
        getattr(base_model, "model_lowvram", None), getattr(base_model, "model_loaded_weight_memory", None),
        getattr(base_model, "lowvram_patch_counter", None), getattr(base_model, "current_weight_patches_uuid", None),
        id(getattr(patcher, "current_hooks", None)),
    )
