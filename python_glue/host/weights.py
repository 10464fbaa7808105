"""Binds the engine to the modules of a diffusion model, for as long as they stay what they are: which weights lie
where, and what the host's own modules run."""

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import comfy.ops
import torch

from .. import native
from .host_code import is_foreign
from .host_modules import HostModules
from .paged_weights import PagedWeights, is_paged
from .structure import Structure

# Weights that a run makes something of which outlives a call (prompts' keys and values, sums of held features).
_DERIVED_FROM = (".attn2.to_k", ".attn2.to_v", ".in_layers.0", ".in_layers.2", ".skip_connection")
_LOOKED_AT_WHOLE = 1 << 17  # numbers of a tensor; of larger ones samples alone, which are read in no time
_INPUT = "input_blocks.0.0"  # the first convolution


@dataclass(eq=False)
class Binding:
    """A diffusion model as the engine runs it, until the host moves, patches or replaces something."""

    structure: Structure
    source: object = None  # native WeightSource
    all_resident: bool = True  # the host is asked for none at the time of use: all lie where they lie
    host: HostModules | None = None  # None where the engine runs everything
    host_native: object = None  # native HostModules of `host`
    pages: PagedWeights | None = None  # where all that the host is asked for may lie in pages of the device
    _filled: tuple = (0, None)  # (how often the pages were found filled, the binding to what is in them)
    _filled_source: object = None  # native WeightSource of weights in pages, by their (weight, bias)
    _given: list = field(default_factory=list)  # (weight, bias) of each leaf where all lie where they lie
    _sampled: list = field(default_factory=list)  # weights
    _places: list = field(default_factory=list)  # where they lay
    _samples: list = field(default_factory=list)  # views into them
    _seen: tuple | None = None  # (samples, how often each of the weights was written into)

    @contextmanager
    def for_call(self, shape: tuple, room):
        """The binding for a call on an input of `shape`: where the host keeps weights in pages and all are filled, one
        that reads them there. `room(bytes)`: whether a call has the memory while pages of `bytes` stay."""
        if self.pages is None or not self.pages.pin(shape, room):
            yield self
            return
        try:
            if self._filled[0] != self.pages.fillings:
                source = self._filled_source(self.pages.tensors())
                self._filled = self.pages.fillings, Binding(self.structure, source)
            yield self._filled[1]
        finally:
            self.pages.unpin()

    def places(self) -> tuple | None:
        """Where and in which form all weights lie; None where the host may move them at any time."""
        if not self._given:
            return None
        return tuple((tensor.data_ptr(), tensor.dtype, tensor.stride()) for pair in self._given for tensor in pair
                     if tensor is not None)

    def wrote(self) -> bool:
        """Whether somebody wrote into a weight since this was asked last. Looks at those weights alone that a run makes
        something lasting of: what torch counts, and, as it counts no writes through `data`, samples of large ones."""
        if not self._sampled:
            return False
        places = [tensor.data_ptr() for tensor in self._sampled]
        if places != self._places:  # at first, and where a parameter got other data
            self._places = places
            self._samples = [_sample(tensor.detach()) for tensor in self._sampled if _is_dense(tensor)]
        samples = torch.cat(self._samples) if self._samples else torch.empty(0)
        now = samples, [_writes(tensor) for tensor in self._sampled]
        before, self._seen = self._seen, now
        return before is not None and not (torch.equal(before[0], now[0]) and before[1] == now[1])


def _needs_host(module, device) -> bool:
    """Whether only the host knows the effective weight: offloaded, in pages, or patched at the time of use."""
    tensors = [t for t in (module.weight, module.bias) if t is not None]
    lowvram = getattr(module, "weight_lowvram_function", None) or getattr(module, "bias_lowvram_function", None)
    replaced = getattr(module, "comfy_cast_weights", False) and _casts_another_way()
    return bool(module.weight_function or module.bias_function or lowvram or replaced or hasattr(module, "_v")
                or any(t.device != device for t in tensors))


def _casts_another_way() -> bool:
    """Whether another pack put its own in the place of the host's cast of weights."""
    return is_foreign(comfy.ops, "cast_bias_weight", comfy.ops.cast_bias_weight)


def _fetch(modules, leaf: int, like):
    """Weight and bias of `modules[leaf]` as the host would use them on `like`; the third value gives them back."""
    module = modules[leaf]
    weight, bias, stream = comfy.ops.cast_bias_weight(module, like, offloadable=True)
    release = None
    if stream is not None:
        release = partial(comfy.ops.uncast_bias_weight, module, weight, bias, stream)
    return weight, bias, release


def _cast_fault(modules: list, leaves: list, device) -> str:
    """Why the host cannot be asked for the weights of `leaves`; empty where it can. Tried on one of them: a host whose
    cast has other arguments, or gives something else, still computes its leaves itself."""
    like = torch.empty(0, device=device, dtype=modules[leaves[0]].weight.dtype)
    try:
        weight, bias, release = _fetch(modules, leaves[0], like)
    except (TypeError, ValueError) as error:
        return f"the host casts weights another way ({error})"
    if release is not None:
        release()
    if type(weight) not in (torch.nn.Parameter, torch.Tensor) or weight.shape != modules[leaves[0]].weight.shape:
        return f"the host casts a weight to a {type(weight).__name__}"
    return ""


def bind(module, unet, structure: Structure, device, places: dict) -> Binding:
    """The diffusion model `module`, whose parts `structure` shares out, for calls on `device`. `places`: what runs in
    the host's code is booked there."""
    modules = structure.leaves
    structure = _with_patched_input(structure, unet)
    asked = [index for index, leaf in enumerate(modules)
             if leaf is not None and index not in structure.host_leaves and not structure.all_reason
             and _is_plain(leaf) and _needs_host(leaf, device)]
    if asked and (reason := _cast_fault(modules, asked, device)):
        structure = replace(structure, host_leaves=structure.host_leaves | dict.fromkeys(asked, reason))
        asked = []
    left = set(asked) | structure.host_leaves.keys()
    given = [None if leaf is None or index in left or structure.all_reason or not _is_plain(leaf)
             else (leaf.weight, leaf.bias) for index, leaf in enumerate(modules)]
    source = partial(native.native_module().HostWeights, unet, fetch=partial(_fetch, modules))
    host = HostModules(module, unet, structure, places) if structure.host_runs_any else None
    binding = Binding(structure=structure, source=source(leaves=given), all_resident=not asked, host=host,
                      host_native=host and host.native(unet, structure))
    if asked and binding.host is None and all(is_paged(modules[index]) for index in asked):
        binding.pages = PagedWeights([modules[index] for index in asked], device)
        binding._filled_source = partial(_with_pages, source, given, asked)
    if not asked and binding.host is None and None not in given:
        binding._given = given
    names = [name for name, _, _ in unet.leaves()]
    binding._sampled = [tensor for name, leaf in zip(names, given, strict=True)
                        if leaf is not None and name.endswith(_DERIVED_FROM)
                        for tensor in leaf if tensor is not None and tensor.device.type == "cpu"]
    return binding


def _with_patched_input(structure: Structure, unet) -> Structure:
    """Leaves the first convolution to the host where it is patched at use: such a patch may make it take more channels,
    which shows nowhere before."""
    index = next(index for index, (name, _, _) in enumerate(unet.leaves()) if name == _INPUT)
    leaf = structure.leaves[index]
    if not (getattr(leaf, "weight_function", None) or getattr(leaf, "weight_lowvram_function", None)):
        return structure
    return replace(structure, host_leaves=structure.host_leaves | {index: "it is patched at the time of use"})


def _with_pages(source, given: list, asked: list, tensors: list):
    """A native WeightSource of the `given` leaves, and of `tensors` for those that were `asked` for."""
    filled = dict(zip(asked, tensors, strict=True))
    return source(leaves=[filled.get(index, leaf) for index, leaf in enumerate(given)])


def _is_plain(leaf) -> bool:
    weight = leaf._parameters.get("weight") if isinstance(leaf, torch.nn.Module) else None
    return type(weight) in (torch.nn.Parameter, torch.Tensor) and hasattr(leaf, "weight_function")


def _is_dense(weight) -> bool:
    channels_last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return weight.device.type == "cpu" and (weight.is_contiguous() or channels_last)


def _writes(tensor) -> int:
    """How often somebody wrote into it, as torch counts; 0 where it does not."""
    return 0 if tensor.is_inference() else tensor._version


def _sample(tensor) -> torch.Tensor:
    """As a view, all of a small tensor; of a large one a value of each row, each of another column."""
    step = tensor[0].numel() + 1 if tensor.numel() > _LOOKED_AT_WHOLE else 1
    tensor = tensor.view(torch.uint8) if tensor.element_size() == 1 else tensor  # fp8 has no arithmetic
    return torch.as_strided(tensor, (-(-tensor.numel() // step),), (step,), tensor.storage_offset())


def residency(base_model) -> tuple:
    """Changes whenever the host may have moved or patched weights, or casts them another way; some of those moves fire
    no callback."""
    patcher = base_model.current_patcher
    return (
        getattr(base_model, "model_lowvram", None), getattr(base_model, "model_loaded_weight_memory", None),
        getattr(base_model, "lowvram_patch_counter", None), getattr(base_model, "current_weight_patches_uuid", None),
        getattr(patcher, "is_injected", None), id(getattr(patcher, "current_hooks", None)),
        comfy.ops.cast_bias_weight,
    )
