"""Files that a training is kept in, with what it depended on, so that it goes on from no other's."""

import hashlib

import torch

from ..unet_file import atomically

_SAMPLED = 16        # numbers of each tensor of the student
_TOLERANCE = 1e-3    # calibration sums in an order that may change


def save(path: str, state: dict):
    with atomically(path) as unfinished:
        torch.save(state, unfinished)


def load(path: str, keys: tuple) -> dict:
    """What save() wrote, with these keys. ValueError naming the file where it is something else, or damaged."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch has many for a file that it cannot read
        raise ValueError(f"{path}: expected the checkpoint of a training, got {str(fault) or type(fault).__name__}; "
                         "remove it to begin anew") from fault
    missing = [key for key in keys if not isinstance(state, dict) or key not in state]
    if missing:
        raise ValueError(f"{path}: expected the checkpoint of a training of this version, got one without "
                         f"{', '.join(missing)}; remove it to begin anew")
    return state


def fingerprint(*values) -> str:
    """Of tensors, dicts of them by name, and plain values."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, dict):
            digest.update(fingerprint(*(part for name in sorted(value) for part in (name, value[name]))).encode())
        elif isinstance(value, torch.Tensor):
            data = value.detach().cpu().contiguous()
            digest.update(repr((data.dtype, tuple(data.shape))).encode())
            digest.update(data.view(-1).view(torch.uint8).numpy())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def sample_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A few numbers of each tensor, by its name."""
    return {name: tensor.detach().flatten()[::max(1, tensor.numel() // _SAMPLED)].float().cpu().clone()
            for name, tensor in tensors.items()}


def is_alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two samples are of the same tensors, within rounding."""
    return one.keys() == other.keys() and all(
        sample.shape == other[name].shape
        and (sample - other[name]).norm() <= _TOLERANCE * sample.norm() for name, sample in one.items())
