"""What a MODEL carries of this pack: settings, as plain data. They name no model: which UNet runs by them is told when
one does (hosted_unet.py)."""

import logging
from collections import deque
from dataclasses import dataclass, field

import torch

from .. import native

KEY = "asdm"

# "auto" (compute) and "default" (weights) leave the choice to the host.
_DTYPES = {"auto": None, "default": None, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Reports are small; a graph with several samplers on one model reads the one that made its latent.
_REPORTS_KEPT = 16
log = logging.getLogger("asdm")


def new_reports() -> deque:
    """Where runs leave (latent fingerprints, report)."""
    return deque(maxlen=_REPORTS_KEPT)


@dataclass(frozen=True, eq=False)
class EngineSettings:
    """Settings of one clone of a MODEL. Each node makes new ones."""

    compute_dtype: torch.dtype | None = None  # None: the dtype the host brings
    inheritance: object = None  # the native module's InheritanceRequest or Plan; None: nothing is inherited
    asked_at: str = ""  # the node, or its input, that the inheritance came from
    node_ids: tuple = ()  # of the nodes in the graph that made these settings; what a run did is shown there
    notes: tuple = ()  # what the report says of how these settings came about
    chain: tuple | None = None  # of a MODEL of several UNets: (number, share of the run until which it runs)
    reports: deque = field(default_factory=new_reports)
    logged: set = field(default_factory=set)  # what was logged already

    def __deepcopy__(self, memo):
        return self  # the host deep-copies model options when it clones

    def plan(self):
        """The Plan that is followed, where one is."""
        return self.inheritance if isinstance(self.inheritance, native.native_module().Plan) else None

    def log_once(self, message: str):
        """Logs once what the user should know, however many runs it holds for."""
        if message not in self.logged:
            self.logged.add(message)
            log.warning(message)


def settings_of(patcher) -> EngineSettings | None:
    """The settings of a MODEL that runs in the engine; None for any other MODEL."""
    return patcher.get_attachment(KEY)


def told_inheritance(inheritance) -> str:
    """An InheritanceRequest or Plan in a few words, as a user set it."""
    module = native.native_module()
    if isinstance(inheritance, module.Plan):
        return "a plan"
    if module.speed_from(inheritance.speed) is not None:
        return f"speed {inheritance.speed}"
    return f"mode {inheritance.mode}, interval {inheritance.interval}"


def dtype_of(name: str) -> torch.dtype | None:
    """The dtype that a node's `compute_dtype` or `weight_dtype` names; None where the host is to choose."""
    return _DTYPES[name]
