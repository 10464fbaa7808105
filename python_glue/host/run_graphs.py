"""Which calls of a sampling run are CUDA graphs. Those of a UNet outlive a run, so that the next one finds them at its
first call, for as long as its weights stay where they are. Not yet measured on a GPU."""

import logging

import torch
from comfy.ldm.modules import attention

from .cuda_graphs import CapturedCall, CudaRecorder

_MOST_KINDS = 16  # of calls; area conds and context windows bring many, and each graph takes memory
_MOST_BYTES = 1 << 29  # that last between runs: torch counts what of them is not in use at the moment as free, and the
# host with it; less than what it leaves free for surprises
_SETTINGS = (
    (torch.backends.cuda.matmul, ("allow_tf32", "fp32_precision", "allow_fp16_reduced_precision_reduction",
                                  "allow_bf16_reduced_precision_reduction", "allow_fp16_accumulation")),
    (torch.backends.cudnn, ("enabled", "benchmark", "deterministic", "allow_tf32", "fp32_precision")),
    (torch.backends.cuda, ("flash_sdp_enabled", "mem_efficient_sdp_enabled", "math_sdp_enabled", "cudnn_sdp_enabled")),
    (torch, ("are_deterministic_algorithms_enabled",)),
)
log = logging.getLogger("asdm")


def _setting(owner, name: str):
    """As torch says it; None where it knows none, or refuses as its old and new names for one were mixed."""
    try:
        value = getattr(owner, name, None)
    except RuntimeError:
        return None
    return value() if callable(value) else value


def _arithmetic() -> tuple:
    """What kernels are chosen by, beside the tensors; packs and nodes change it between runs."""
    return attention.optimized_attention, *(_setting(owner, name) for owner, names in _SETTINGS for name in names)


def _kind(inputs: dict, features, inherited: dict) -> tuple:
    """All that decides which kernels run on what shapes."""
    def shapes(tensors):
        return tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in sorted(tensors.items()))

    return (shapes(inputs), inputs["x"].device, shapes(inherited), features.kind,
            torch.is_inference_mode_enabled(), _arithmetic())


class KeptGraphs:
    """The graphs of one UNet by kind of call, those that were used longest ago first. One call at a time."""

    def __init__(self, record=None):
        self._record = record or CudaRecorder()
        self._places = None
        self._calls = {}  # kind -> CapturedCall, None after the first call

    def __len__(self):
        return sum(call is not None for call in self._calls.values())

    def rest_on(self, places) -> bool:
        """The weights lie at `places`, which equal those of before where all lie as they lay; None where they may move
        at any time. Drops the graphs of others; False where there were any."""
        if places is not None and places == self._places:
            return True
        had_graphs = len(self) > 0
        self.drop()
        self._places = places
        return not had_graphs

    @property
    def may_last(self) -> bool:
        """Whether the weights are to stay where they are, and the graphs are small enough to stay beside them."""
        return self._places is not None and self._record.taken <= _MOST_BYTES

    def meet(self, kind: tuple, needed: set) -> bool:
        """Whether a call of `kind` came before; notes it where there is room for its graph. Of the others, those of the
        kinds `needed` stay."""
        if kind in self._calls:
            self._calls[kind] = self._calls.pop(kind)
            return True
        idle = next((known for known in self._calls if known not in needed), None)
        if len(self._calls) == _MOST_KINDS and idle is not None:
            del self._calls[idle]
        if len(self._calls) < _MOST_KINDS:
            self._calls[kind] = None
        return False

    def captured(self, kind: tuple) -> CapturedCall | None:
        return self._calls.get(kind)

    def capture(self, kind: tuple, forward, inputs: dict, features, inherited: dict):
        """RuntimeError where the device refuses."""
        self._calls[kind] = CapturedCall(self._record, forward, inputs, features, inherited)

    def drop(self):
        """Drops the graphs and their memory."""
        self._calls.clear()
        self._places = None
        self._record.taken = 0


class RunGraphs:
    """The graphs of a UNet in one sampling run. The first call of a kind that was never met runs as ever, so that
    libraries choose their kernels and make their handles outside of a capture; the second is captured."""

    def __init__(self, kept: KeptGraphs):
        self._kept = kept
        self._weights = None
        self._met = set()  # kinds of this run
        self._room = None  # of the last call
        self.stopped = ""  # why this run goes without, where it does

    def forward(self, forward, inputs: dict, features, weights, room) -> torch.Tensor:
        """What `forward(inputs, features)` gives, and books in `features`.

        `inputs`: tensors by name; `weights`: what the graphs point into, whose `places()` says where it lies;
        `room()`: whether memory permits a capture.
        """
        if weights is not self._weights:
            self._take(weights)
        self._room = room
        if self.stopped or features.searches:  # a search: what runs depends on values
            return forward(inputs, features)
        inherited = features.inherited_values  # forecasts are computed here, once a call
        kind = _kind(inputs, features, inherited)
        self._met.add(kind)
        if not self._kept.meet(kind, self._met):
            return forward(inputs, features)
        if self._kept.captured(kind) is None:
            self._capture(kind, forward, inputs, features, inherited)
        captured = self._kept.captured(kind)
        return forward(inputs, features) if captured is None else captured(inputs, features, inherited)

    def _take(self, weights):
        in_mid_run = self._weights is not None
        self._weights = weights
        if not self._kept.rest_on(weights.places()) and in_mid_run:
            self._stop("the host changed weights in mid-run")  # and will again: each capture would serve a few calls

    def _capture(self, kind, forward, inputs, features, inherited):
        if not self._room():
            self._stop("too little free memory")
            return
        try:
            self._kept.capture(kind, forward, inputs, features, inherited)
        except RuntimeError as error:  # also out of memory; what is wrong with the call itself, the plain one will say
            self._stop(str(error))

    def _stop(self, reason: str):
        self.stopped = reason
        self._kept.drop()
        log.warning("the rest of this run goes without CUDA graphs: %s", reason)

    def drop(self):
        """Drops the graphs and their memory."""
        self._kept.drop()

    def close(self, lasting: bool):
        """The run has ended; `lasting`: whether somebody will drop its graphs once the weights go. They stay where the
        device has the memory for the next run beside them."""
        if len(self._kept) and not (lasting and self._kept.may_last and self._room()):
            self._kept.drop()
        self._weights = self._room = None
        self._met.clear()
