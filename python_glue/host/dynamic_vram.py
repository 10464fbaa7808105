"""The host's dynamic VRAM: weights of a MODEL that it brings into memory where they are used, and takes back where
memory is short. Not yet measured on a GPU."""

import logging
import weakref
from contextlib import nullcontext

import comfy.hooks
import comfy.model_management
from comfy.cli_args import args
from comfy.sampler_helpers import get_hooks_from_cond

try:
    import comfy.model_prefetch as model_prefetch
except ImportError:  # an older host
    model_prefetch = None

_SHARE = 0.5  # of the device that weights which never leave may take; the rest is for activations and other models
_static = weakref.WeakKeyDictionary()  # BaseModel in dynamic VRAM -> a patcher around the same weights, loaded whole
log = logging.getLogger("asdm")


def is_dynamic(patcher) -> bool:
    """Whether the host keeps the weights of `patcher` in dynamic VRAM, and patches them at the time of use."""
    return getattr(patcher, "is_dynamic", bool)()


def engine_clone(patcher):
    """A clone of the MODEL for the engine. Where it lies in dynamic VRAM and half of the device holds it, the clone is
    around the same checkpoint loaded whole, as the host does for torch.compile: a CUDA graph needs weights that stay
    where they are. Clones of one model share it."""
    if not is_dynamic(patcher) or getattr(patcher, "cached_patcher_init", None) is None or not _fits(patcher):
        return patcher.clone()
    found = _static.get(patcher.model)
    static = None if found is None else found()
    override = None if static is None else static.get_clone_model_override()
    try:
        clone = patcher.clone(disable_dynamic=True, model_override=override)
    except (OSError, RuntimeError) as error:  # its file is gone, or memory is short
        log.warning("%s stays in dynamic VRAM: it could not be loaded whole (%s)", type(patcher.model).__name__, error)
        return patcher.clone()
    clone.hook_backup = {}
    if static is None:
        log.info("%s is loaded whole, outside of dynamic VRAM: it fits, and CUDA graphs need weights that stay",
                 type(patcher.model).__name__)
        _static[patcher.model] = weakref.ref(clone)
    return clone


def _fits(patcher) -> bool:
    return patcher.model_size() <= _SHARE * comfy.model_management.get_total_memory(patcher.load_device)


def hookable(patcher, conds: dict):
    """`patcher`, or what the host takes in its place where the `conds` of a guider, lists by name, hook weights:
    dynamic VRAM knows no such hooks."""
    if not is_dynamic(patcher):
        return patcher
    hooks = comfy.hooks.HookGroup()
    for conds_of_name in conds.values():
        get_hooks_from_cond(conds_of_name, hooks)
    return patcher.get_non_dynamic_delegate() if hooks.hooks else patcher


def outside_allocation_graph():
    """A context whose memory stays out of what the host records of a block's allocations: features outlive a block."""
    pause = getattr(model_prefetch, "pause_malloc_graph", nullcontext)
    return pause()


def wants_no_graphs() -> bool:
    """Whether the host was started without CUDA graphs."""
    return bool(getattr(args, "disable_cuda_graphs", False))
