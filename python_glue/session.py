"""What a MODEL carries of this pack: the engine's settings, shared by the seam and the sampling run."""

import weakref
from collections import deque
from dataclasses import dataclass, field

import torch

KEY = "asdm"

# "auto" (compute) and "default" (weights) leave the choice to the host.
_DTYPES = {"auto": None, "default": None, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Reports are small; a graph with several samplers on one model reads the one that made its latent.
_REPORTS_KEPT = 16
_RUN_SETTINGS = ("level", "sites", "mode", "interval", "full_evaluations", "start_percent", "end_percent", "value",
                 "max_age")


@dataclass(frozen=True, eq=False)
class Session:
    """Settings of one clone of a MODEL. Immutable: each node makes a new one. Holds the host's model weakly, because
    the host itself keeps what its patchers hold."""

    unet: object  # native UNet: structure only, no weights
    base_model: weakref.ref
    compute_dtype: torch.dtype | None = None  # None: the dtype the host brings
    inheritance: dict | None = None
    reports: deque = field(default_factory=lambda: Session.new_reports())

    @staticmethod
    def new_reports() -> deque:
        """Where runs leave (latent fingerprint, report)."""
        return deque(maxlen=_REPORTS_KEPT)

    def __deepcopy__(self, memo):
        return self  # the host deep-copies model options when it clones

    def sites(self) -> list[int]:
        """Node ids whose features are inherited. ValueError listing the known names for an unknown one."""
        return self.unet.resolve_sites(self.inheritance["sites"]) if self.inheritance else []

    def settings(self):
        """Native settings of the inheritance; None where nothing is inherited."""
        if not self.inheritance:
            return None
        return self.unet.inheritance_settings(**{name: self.inheritance[name] for name in _RUN_SETTINGS})

    def cache_bytes(self, input_shape, element_size: int) -> int:
        """Bytes that the stored features of a call of `input_shape` [batch, channels, height, width] take."""
        channels = self.unet.node_channels()
        total = 0
        for site in self.sites():
            width, level = channels[site]
            total += width * -(-input_shape[-2] // 2**level) * -(-input_shape[-1] // 2**level)
        return total * input_shape[0] * element_size


def dtype_of(name: str) -> torch.dtype | None:
    """The dtype that a node's `compute_dtype` or `weight_dtype` names; None where the host is to choose."""
    return _DTYPES[name]
