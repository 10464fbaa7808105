"""Files of UNets, and whether tensors are those of a UNet. Needs no ComfyUI."""

import contextlib
import itertools
import json
import os
import uuid
from collections.abc import Iterable

import safetensors
import safetensors.torch
import torch

from . import native

# What newer hosts note beside the weights of an attention: how the checkpoint wants it computed, as bytes of JSON.
_NOTE = ".comfy_attention.config"
# Metadata of a file: how its UNet is sampled, as JSON (python_glue/host/sampled_as.py).
SAMPLING_KEY = "asdm.sampling"
# Beside a weight in fp8: what it is to be multiplied with, and what only says so or serves another arithmetic.
_SCALES = (".scale_weight", ".weight_scale")
_OF_SCALED = (".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
_MAX_FAULTS = 100  # that a message names
_FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def is_note(name: str) -> bool:
    """Whether a tensor of this name is no weight, but something that the host notes beside them."""
    return name.endswith(_NOTE)


def expected_tensors(spec) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the UNet `spec`, by checkpoint name."""
    expected = {}
    for name, shape, has_bias in native.native_module().UNet(spec).leaves():
        expected[f"{name}.weight"] = tuple(shape)
        if has_bias:
            expected[f"{name}.bias"] = (shape[0],)
    return expected


def check_tensors(path: str, spec, tensors: dict[str, torch.Tensor]):
    """ValueError naming every missing and unexpected tensor, and those of another shape or kind. The host's notes are
    free to be there."""
    expected = expected_tensors(spec)
    tensors = {name: tensor for name, tensor in tensors.items() if not is_note(name)}
    faults = [f"missing {name}" for name in expected if name not in tensors]
    faults += [f"unexpected {name}" for name in tensors if name not in expected]
    faults += [f"{name} has shape {tuple(tensor.shape)}, expected {expected[name]}"
               for name, tensor in tensors.items() if name in expected and tuple(tensor.shape) != expected[name]]
    faults += [f"{name} holds {tensor.dtype}, expected floating point numbers"
               for name, tensor in tensors.items() if not tensor.is_floating_point()]
    if faults:
        more = [f"{len(faults) - _MAX_FAULTS} more"] if len(faults) > _MAX_FAULTS else []
        raise ValueError(f"{path}: expected the tensors of its UNet, got " + "; ".join(faults[:_MAX_FAULTS] + more))


class Scales:
    """What the weights of a checkpoint in scaled fp8 are to be multiplied with. Takes it out of `tensors`, by their
    names in the full UNet."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        self._scales = {}
        for name in [name for name in tensors if name.endswith(_SCALES + _OF_SCALED)]:
            tensor = tensors.pop(name)
            if name.endswith(_SCALES):
                self._scales[name.rpartition(".")[0] + ".weight"] = tensor

    def __bool__(self):
        return bool(self._scales)

    def check(self, path: str, tensors: dict[str, torch.Tensor]):
        """ValueError naming the weights that are quantised in another way."""
        faults = []
        for name, scale in self._scales.items():
            weight = tensors.get(name)
            if weight is not None and (weight.dtype not in _FP8 or scale.numel() not in (1, len(weight))):
                faults.append(f"{name} in {weight.dtype} with a scale of shape {tuple(scale.shape)}")
        if faults:
            raise ValueError(f"{path}: expected weights in fp8 with one scale for each, or for each of its rows, got "
                             + "; ".join(faults))

    def applied(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The weight `name` itself, in fp32 where it is scaled."""
        scale = self._scales.get(name)
        return tensor if scale is None else tensor.float() * scale.float().view(-1, *[1] * (tensor.dim() - 1))


def read_unet(path: str | os.PathLike) -> tuple[object, dict[str, torch.Tensor]]:
    """(UNetSpec, tensors by their names in the full UNet) of a file in any layout that ASDMLoadUNet opens."""
    layout = native.native_module().read_unet_file(str(path))
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(in_file) for name, in_file in layout["names"].items()}
    scales = Scales(tensors)
    scales.check(path, tensors)
    check_tensors(path, layout["spec"], tensors)
    return layout["spec"], {name: scales.applied(name, tensor) for name, tensor in tensors.items()}


def sampling_in(path: str, metadata: dict | None) -> dict:
    """What the metadata of the file at `path` says of how its UNet is sampled, unchecked; empty where it says nothing.
    ValueError where that is no record."""
    try:
        sampling = json.loads((metadata or {}).get(SAMPLING_KEY, "{}"))
        if not isinstance(sampling, dict):
            raise TypeError(f"{type(sampling).__name__} in the place of an object")
    except (ValueError, TypeError, RecursionError) as fault:
        raise ValueError(f"{path}: expected how its UNet is sampled in the metadata {SAMPLING_KEY}, got {fault!r}"
                         ) from fault
    return sampling


def read_sampling(path: str | os.PathLike) -> dict:
    """How the UNet of a file is sampled; empty where the file does not say. ValueError where only ComfyUI can tell."""
    with safetensors.safe_open(path, framework="pt") as file:
        sampling = sampling_in(str(path), file.metadata())
        marks = [name for name in set(file.keys()) if name == "v_pred" or name.startswith("edm_")]
    if marks and not sampling:
        raise ValueError(f"{path}: expected a file that says in full how its UNet is sampled, got {', '.join(marks)} "
                         "alone; load it in ComfyUI and write it with ASDM Save UNet")
    return sampling


def write_unet(path: str | os.PathLike, spec, tensors: dict[str, torch.Tensor], sampling: dict | None = None):
    """Writes a file that carries its UNetSpec and how it is sampled. It takes its name when it is whole, so that nobody
    meets half of one."""
    with atomically(path) as unfinished:
        _save(unfinished, spec, tensors, sampling)


def write_new_unet(paths: Iterable[str], spec, tensors: dict[str, torch.Tensor], sampling: dict) -> str:
    """The same under the first of `paths` that is free, also where other processes ask for it now; that path."""
    paths = iter(paths)
    first = next(paths)
    with unfinished_file(first) as unfinished:
        _save(unfinished, spec, tensors, sampling)
        _flush(unfinished)
        return next(path for path in itertools.chain([first], paths) if _claimed(unfinished, path))


def _save(path: str, spec, tensors: dict, sampling: dict | None):
    metadata = {native.native_module().SPEC_METADATA_KEY: spec.json()}
    if sampling:
        metadata[SAMPLING_KEY] = json.dumps(sampling)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, path, metadata=metadata)


def _claimed(unfinished: str, path: str) -> bool:
    """Gives the file the name `path` unless something has it."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        os.replace(unfinished, path)
    return True


@contextlib.contextmanager
def unfinished_file(path: str | os.PathLike):
    """A name beside `path` to write a file under, which vanishes at the end. For what is moved out of it."""
    # Not by its name, which may be as long as a name can.
    unfinished = os.path.join(os.path.dirname(path), f"{uuid.uuid4().hex}.unfinished")
    try:
        yield unfinished
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


@contextlib.contextmanager
def atomically(path: str | os.PathLike):
    """`with atomically(path) as unfinished:` what is written to `unfinished` becomes `path` when all of it is on disk,
    and vanishes where that fails."""
    with unfinished_file(path) as unfinished:
        yield unfinished
        _flush(unfinished)
        os.replace(unfinished, path)


def _flush(path: str):
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
