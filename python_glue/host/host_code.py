"""What the host's code says about itself: which functions do its work and which of them were replaced, which attributes
they read, and which names they look for in a call.

The engine stands in for the host's own code. Where another pack put code of its own in the place, that runs instead;
and where a call carries something that the engine does not know, the host's code tells who would have looked at it.
"""

import functools
import os
import sys
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

import comfy
import comfy.ops
import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import openaimodel

from .assembled_unet import AssembledUNet, RemovedTransformerBlock, SpecBuffer
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
LEAVES = {getattr(family, kind): ("forward", "forward_comfy_cast_weights", "_conv_forward")
          for family in (comfy.ops.disable_weight_init, comfy.ops.manual_cast)
          for kind in ("Linear", "Conv2d", "GroupNorm", "LayerNorm")}
# Who runs the blocks one after the other.
_WALKS = dict.fromkeys((openaimodel.UNetModel, AssembledUNet), ("forward", "_forward"))
FUNCTIONS = CONTAINERS | LEAVES | _WALKS
_CALLED_BY = ("__call__", "_call_impl")  # what comes before the forward of any module
_TRANSFORMERS = (attention.SpatialTransformer, attention.BasicTransformerBlock, attention.CrossAttention)
# Where functions that compute lie. What moves and counts memory is the host's affair, and so are the casts of weights,
# which the engine asks for.
_COMPUTING = ("comfy.ldm.", "comfy.ops", "torch", __package__)
_DATA = (type, bool, int, float, str, bytes, tuple, list, dict, set, frozenset, type(None))  # no code lies in these
_ASKED = frozenset(("cast_bias_weight", "uncast_bias_weight"))
# Where code lies that may do the work of the host's classes: the host, torch, this pack's own classes.
_HOMES = tuple(str(Path(home).resolve()) + os.sep for home in (
    *comfy.__path__, *torch.__path__, Path(__file__).parent))


@functools.lru_cache(maxsize=4)
def _libraries(search_path: tuple) -> tuple:
    """The folder of Python's own modules, and those of a `sys.path` that packages were installed into: of the
    interpreter, of the user, or of another environment that this one builds on."""
    installed = (folder for folder in search_path
                 if folder and any(path.suffix in (".dist-info", ".egg-info") for path in _entries(folder)))
    return tuple(str(Path(folder).resolve()) + os.sep for folder in (Path(os.__file__).parent, *installed))


def _entries(folder: str):
    try:
        yield from Path(folder).iterdir()
    except OSError:  # an archive, or no folder at all
        return


@functools.cache
def _lies_in(file: str, folders: tuple) -> bool:
    return str(Path(file).resolve()).startswith(folders)


def is_foreign(owner, name: str, function) -> bool:
    """Whether another pack put `function` there, as `name` of a module or class."""
    if isinstance(function, BuiltinFunctionType) or not callable(function):
        return False
    layers = _layers_of(function)
    codes = [layer.__code__ for layer in layers if isinstance(layer, FunctionType)]
    if len(codes) < len(layers):
        return not type(function).__module__.startswith("torch")
    imported = isinstance(owner, ModuleType) and function.__name__ == name  # as the host imports from libraries
    homes = _HOMES + _libraries(tuple(sys.path)) if imported else _HOMES
    return not all(_lies_in(code.co_filename, homes) for code in codes)


def _layers_of(function) -> list:
    """A function and what it says that it wraps: a decorator of torch's or Python's around another pack's function is
    that pack's."""
    layers = [function]
    while isinstance(layers[-1], FunctionType) and hasattr(layers[-1], "__wrapped__"):
        layers.append(layers[-1].__wrapped__)
    return layers


def _unwrapped(function):
    return _layers_of(function)[-1]


def _codes_of(function):
    pending = [_unwrapped(function).__code__]
    while pending:
        code = pending.pop()
        yield code
        pending += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _names_in(function) -> set[str]:
    return {name for code in _codes_of(function) for name in code.co_names}


class HostCode:
    """The functions that do the work of the host's classes, as they are now. Made for one survey."""

    def __init__(self):
        self._by_class, self._replaced, self._named = {}, {}, {}

    def _work_of(self, cls: type) -> tuple[dict, frozenset]:
        """({(owner, name): function} of what does the work of `cls`, the attributes that its own functions name)."""
        if cls not in self._by_class:
            self._by_class[cls] = self._followed(cls)
        return self._by_class[cls]

    def _followed(self, cls: type) -> tuple[dict, frozenset]:
        own = [base for base in cls.__mro__ if base not in (torch.nn.Module, object)]
        found = {(cls, name): getattr(cls, name) for name in _CALLED_BY}
        reads = set()
        pending = [(base, name) for base in own for name in FUNCTIONS.get(cls, ()) if name in vars(base)]
        while pending:
            owner, name = pending.pop()
            function = getattr(owner, name)
            if (owner, name) in found:
                continue
            found[owner, name] = function
            if is_foreign(owner, name, function) or not isinstance(function, FunctionType):
                continue
            if isinstance(owner, ModuleType) and owner.__name__.startswith("torch"):
                continue  # what torch does inside is torch's
            names = _names_in(function)
            pending += _functions_named(names, _unwrapped(function).__globals__)
            if owner in own:
                reads |= names
                pending += [(base, name) for base in own for name in names & vars(base).keys()
                            if isinstance(vars(base)[name], FunctionType)]
        return found, frozenset(reads)

    def reads(self, cls: type) -> frozenset[str]:
        """The attributes of an instance that the work of `cls` may depend on."""
        return self._work_of(cls)[1]

    def names_in(self, cls: type) -> frozenset[str]:
        """The attributes that any function of `cls` names."""
        if cls not in self._named:
            self._named[cls] = frozenset(name for function in _functions_of(cls) for name in _names_in(function))
        return self._named[cls]

    def replaced(self, cls: type) -> str:
        """Which function that does the work of `cls` another pack replaced; empty where none."""
        if cls not in self._replaced:
            self._replaced[cls] = next((
                f"{owner.__name__}.{name} was replaced by {getattr(function, '__module__', type(function).__name__)}"
                for (owner, name), function in self._work_of(cls)[0].items() if is_foreign(owner, name, function)), "")
        return self._replaced[cls]

    def hosts_own(self, classes) -> dict:
        """(owner, name) -> (function, its code) of what does the work of `classes` and is no other pack's."""
        for cls in classes:
            self._work_of(cls)
        return {(owner, name): (function, code) for owner, name, function, code in self.functions()
                if not is_foreign(owner, name, function)}

    def functions(self) -> list:
        """[(owner, name, function, its code)] of all that was looked at."""
        return [(owner, name, function, getattr(function, "__code__", None)) for work, _ in self._by_class.values()
                for (owner, name), function in work.items()]


def _functions_named(names: set[str], scope: dict) -> list:
    """[(module, name)] of the functions that code with these `names` may mean in `scope`, its globals, and of what it
    may find them in."""
    found, pending, seen = [], [sys.modules.get(scope.get("__name__"))], set()
    while pending:
        module = pending.pop()
        if module is None or module in seen:
            continue
        seen.add(module)
        for name in names - _ASKED:
            value = vars(module).get(name)
            if isinstance(value, ModuleType):
                pending.append(value)
            if not isinstance(value, _DATA) and module.__name__.startswith(_COMPUTING):
                found.append((module, name))
    return found


def _functions_of(owner):
    if not isinstance(owner, type):
        return [owner]
    return [value for cls in owner.__mro__ if cls.__module__.startswith(("comfy.", __package__))
            for value in vars(cls).values() if isinstance(value, FunctionType)]


def words_in(owner) -> set[str]:
    """The strings that it looks for, and the names of its arguments."""
    found = set()
    for code in (code for function in _functions_of(owner) for code in _codes_of(function)):
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
