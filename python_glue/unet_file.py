"""Files of UNets, and whether tensors are those of a UNet. Needs no ComfyUI."""

import contextlib
import os
import uuid

import safetensors
import safetensors.torch
import torch

from . import native

# What newer hosts note beside the weights of an attention: how the checkpoint wants it computed, as bytes of JSON.
_NOTE = ".comfy_attention.config"


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
        raise ValueError(f"{path}: expected the tensors of its UNet, got " + "; ".join(faults))


def read_unet(path: str | os.PathLike) -> tuple[object, dict[str, torch.Tensor]]:
    """(UNetSpec, tensors by their names in the full UNet) of a file in any layout that ASDMLoadUNet opens."""
    layout = native.native_module().read_unet_file(str(path))
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(in_file) for name, in_file in layout["names"].items()}
    check_tensors(path, layout["spec"], tensors)
    return layout["spec"], tensors


def write_unet(path: str | os.PathLike, spec, tensors: dict[str, torch.Tensor]):
    """Writes a file that carries its UNetSpec. It takes its name when it is whole, so that nobody meets half of one."""
    metadata = {native.native_module().SPEC_METADATA_KEY: spec.json()}
    with atomically(path) as unfinished:
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, unfinished,
                                    metadata=metadata)


@contextlib.contextmanager
def atomically(path: str | os.PathLike):
    """`with atomically(path) as unfinished:` what is written to `unfinished` becomes `path` when all of it is on disk,
    and vanishes where that fails."""
    unfinished = f"{path}.{uuid.uuid4().hex}.unfinished"
    try:
        yield unfinished
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
