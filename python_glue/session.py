"""What a MODEL carries of this pack: the engine's settings, shared by the seam and the sampling run."""

import logging
import weakref
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property

import torch

KEY = "asdm"

# "auto" (compute) and "default" (weights) leave the choice to the host.
_DTYPES = {"auto": None, "default": None, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Reports are small; a graph with several samplers on one model reads the one that made its latent.
_REPORTS_KEPT = 16
_PROMPT_TOKENS = 77  # where the host does not say; long prompts come in multiples
log = logging.getLogger("asdm")


def new_reports() -> deque:
    """Where runs leave (latent fingerprints, report)."""
    return deque(maxlen=_REPORTS_KEPT)


@dataclass(frozen=True, eq=False)
class Session:
    """Settings of one clone of a MODEL. Immutable: each node makes a new one. Holds the host's model weakly, because
    the host itself keeps what its patchers hold."""

    unet: object  # native UNet: structure only, no weights
    base_model: weakref.ref
    family: str = "sd1"  # of the UNetSpec
    compute_dtype: torch.dtype | None = None  # None: the dtype the host brings
    inheritance: dict | None = None  # nodes::InheritanceOptions or Plan, as the nodes gave it
    asked_at: str = ""  # the node, or its input, that it came from
    chain: tuple | None = None  # of a MODEL of several UNets: (number, share of the run until which it runs)
    reports: deque = field(default_factory=new_reports)
    told: set = field(default_factory=set)  # what was logged already

    def __deepcopy__(self, memo):
        return self  # the host deep-copies model options when it clones

    def plan(self) -> list | None:
        """[(sigma, [address])] where a plan is followed."""
        return self.inheritance.get("evaluations") if self.inheritance else None

    @cached_property
    def settings(self):
        """Native settings of the inheritance; None where nothing is inherited. ValueError for unknown names and for
        settings without sense."""
        if not self.inheritance:
            return None
        plan = self.plan()
        if plan is None:
            return self.unet.inheritance_settings(**self.inheritance, where=self.asked_at)
        return self.unet.plan_settings(evaluations=[sites for _, sites in plan], value=self.inheritance["value"],
                                       storage=self.inheritance["storage"], where=self.asked_at)

    def cache_bytes(self, input_shape, element_size: int) -> int:
        """Bytes that the stored features of a call of `input_shape` [batch, channels, height, width] take."""
        if self.settings is None:
            return 0
        rows, _, height, width = input_shape
        return self.unet.cache_bytes(self.settings, rows, height, width, element_size)

    def reused_bytes(self, input_shape, cond_shapes: dict, element_size: int, device: torch.device) -> int:
        """Bytes that keys and values of prompts and sums of held features take in calls of `input_shape` with conds of
        `cond_shapes`: name -> [shape]. None are kept on a GPU, where knowing a prompt again would wait for all its
        work."""
        if device.type != "cpu":
            return 0
        rows, _, height, width = input_shape
        tokens = max((shape[1] for shape in cond_shapes.get("c_crossattn", ())), default=_PROMPT_TOKENS)
        projections = self.unet.projection_bytes(rows, tokens, element_size)
        if self.settings is None:
            return projections
        return projections + self.unet.held_sum_bytes(self.settings, rows, height, width, element_size)

    def tell(self, message: str):
        """Logs once what the user should know, however many runs it holds for."""
        if message not in self.told:
            self.told.add(message)
            log.warning(message)


def session_of(patcher) -> Session | None:
    """The session of a MODEL that runs in the engine; None for any other MODEL."""
    return patcher.get_attachment(KEY)


def dtype_of(name: str) -> torch.dtype | None:
    """The dtype that a node's `compute_dtype` or `weight_dtype` names; None where the host is to choose."""
    return _DTYPES[name]
