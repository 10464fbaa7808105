"""What the host's code says about itself: which of its functions were replaced, and which names it looks for.

The engine stands in for the host's own code. Where another pack put code of its own in the place, that runs instead;
and where a call carries something that the engine does not know, the host's code tells who would have looked at it.
"""

import functools
import os
from pathlib import Path
from types import CodeType, FunctionType

import comfy
import comfy.ops
import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import openaimodel

from .assembled_unet import RemovedTransformerBlock, SpecBuffer
from .experts_res_block import ExpertsResBlock

# Modules whose work the engine knows, and the functions of theirs that do it.
CONTAINERS = {
    openaimodel.ResBlock: ("forward", "_forward"), ExpertsResBlock: ("forward",),
    openaimodel.Upsample: ("forward",), openaimodel.Downsample: ("forward",),
    attention.SpatialTransformer: ("forward",), attention.BasicTransformerBlock: ("forward",),
    attention.CrossAttention: ("forward",), attention.FeedForward: ("forward",), attention.GEGLU: ("forward",),
    RemovedTransformerBlock: ("forward",), torch.nn.Sequential: ("forward",), torch.nn.ModuleList: (),
    torch.nn.ModuleDict: (), torch.nn.SiLU: ("forward",), torch.nn.Dropout: ("forward",),
    torch.nn.Identity: ("forward",), SpecBuffer: (), openaimodel.TimestepEmbedSequential: (),
}
_LEAF_FUNCTIONS = ("forward", "forward_comfy_cast_weights", "_conv_forward")
LEAVES = {getattr(family, kind): _LEAF_FUNCTIONS
          for family in (comfy.ops.disable_weight_init, comfy.ops.manual_cast)
          for kind in ("Linear", "Conv2d", "GroupNorm", "LayerNorm")}
# Who runs the blocks one after the other: the forwards of UNets, and what they call for it.
_WALK = ((openaimodel.UNetModel, "forward"), (openaimodel.UNetModel, "_forward"), (openaimodel, "apply_control"),
         (openaimodel, "timestep_embedding"))
_TRANSFORMERS = (attention.SpatialTransformer, attention.BasicTransformerBlock, attention.CrossAttention)


# Where code lies that may do the work of the host's classes: the host, torch, and this pack's own classes.
_HOMES = tuple(str(Path(home).resolve()) + os.sep for home in (
    *comfy.__path__, *torch.__path__, Path(__file__).parent))


@functools.cache
def _is_at_home(file: str) -> bool:
    return str(Path(file).resolve()).startswith(_HOMES)


def _replaced(owner, name: str) -> str:
    """Who replaced the function `name` of `owner`, a module or class; empty where nobody did."""
    function = getattr(owner, name, None)
    code = getattr(function, "__code__", None)
    if function is None or (code is not None and _is_at_home(code.co_filename)):
        return ""
    return f"{owner.__name__}.{name} was replaced by {getattr(function, '__module__', type(function).__name__)}"


def replaced_function(cls: type) -> str:
    """Who replaced a function of the class `cls`; empty where nobody did."""
    names = CONTAINERS.get(cls, LEAVES.get(cls, ()))
    return next(filter(None, (_replaced(cls, name) for name in names)), "")


def replaced_walk(module) -> str:
    """Who replaced what runs the blocks of the diffusion model `module`; empty where nobody did."""
    own = module.__dict__.keys() & {"forward", "_forward"}
    if own:
        return f"the UNet has a {own.pop()} of its own"
    return next(filter(None, (_replaced(owner, name) for owner, name in _WALK)), "")


def replaced_layer_call() -> str:
    """Who replaced the host's function that calls the layers of a block; empty where nobody did."""
    return _replaced(openaimodel, "forward_timestep_embed")


def _functions_of(owner):
    if not isinstance(owner, type):
        return [owner]
    return [value for cls in owner.__mro__ if cls.__module__.startswith(("comfy.", __package__))
            for value in vars(cls).values() if isinstance(value, FunctionType)]


def _codes_of(owner):
    pending = []
    for function in _functions_of(owner):
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        pending.append(function.__code__)
    while pending:
        code = pending.pop()
        yield code
        pending += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


@functools.cache
def names_in(cls: type) -> frozenset[str]:
    """The attributes that the functions of a class name; read once."""
    return frozenset(name for code in _codes_of(cls) for name in code.co_names)


def words_in(owner) -> set[str]:
    """The strings that it looks for, and the names of its arguments."""
    found = set()
    for code in _codes_of(owner):
        found.update(code.co_varnames[:code.co_argcount + code.co_kwonlyargcount])
        for constant in code.co_consts:
            found.update([constant] if isinstance(constant, str) else
                         [word for word in constant if isinstance(word, str)]
                         if isinstance(constant, (tuple, frozenset)) else [])
    return found


class HostVocabulary:
    """The words that the host's code looks for, by what looks for them. Read once; the code of a process stays."""

    def __init__(self):
        self.walk = words_in(openaimodel.UNetModel._forward) | words_in(openaimodel.UNetModel.forward)
        self.layer_call = words_in(openaimodel.forward_timestep_embed)
        self.transformers = set().union(*(words_in(cls) for cls in _TRANSFORMERS))


@functools.cache
def vocabulary() -> HostVocabulary:
    return HostVocabulary()
