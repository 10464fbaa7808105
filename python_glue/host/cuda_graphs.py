"""CUDA graphs of whole forward calls: one launch where there were thousands. Not yet measured on a GPU.

A graph does its kernels again on the memory that they had when it was captured. So it has input buffers of its own,
which each call is copied into, and what it leaves in the graphs' common pool is copied out before another graph can
write there.
"""

import logging

import comfy.model_management
import torch

from .dynamic_vram import wants_no_graphs

_MOST_KINDS = 16  # of calls in one run; area conds and context windows bring many, and each graph takes memory
_ROOM = 3  # calls' memory: for the pool of graphs, and twice for the host, which asks for 1.5 times to batch conds
log = logging.getLogger("asdm")


def obstacle(inputs: dict, control, hooks, profile, binding) -> str:
    """Why a call of the native engine cannot be a graph; empty where it can be.

    `inputs`: its tensors by name. Hooks, control and a profile want to see every layer of every call.
    """
    if control is not None:
        return "control"
    if hooks.follows_blocks:
        return "hooks"
    if profile is not None:
        return "a profile watches"
    if binding.host is not None:
        return "parts run in the host's own modules"
    if not binding.all_resident:
        return "weights are offloaded, or patched at the time of use"
    device = inputs["x"].device
    if device.type != "cuda":
        return "not on a CUDA device"
    if wants_no_graphs():
        return "the host was started with --disable-cuda-graphs"
    if any(tensor.device != device for tensor in inputs.values()) or device.index != torch.cuda.current_device():
        return "several devices"
    return "another capture is underway" if torch.cuda.is_current_stream_capturing() else ""


def has_room(patcher, x, kept: int = 0, calls: int = _ROOM) -> bool:
    """Whether the device has memory for `calls` calls on `x` beside what the host plans with; `kept`: bytes that it
    would count as free, as it could take them back, but must not."""
    # Newer hosts count pages that they would give up.
    ask = getattr(patcher, "get_free_memory", comfy.model_management.get_free_memory)
    own = type(patcher.model).memory_required  # what a run keeps is planned with, and this call's is counted there
    return ask(x.device) - kept >= calls * own(patcher.model, list(x.shape))


class CudaRecorder:
    """Captures work into graphs of one pool. They may share it because they run one after the other on one stream, and
    because nothing that one leaves there is read after the next has started."""

    def __init__(self):
        self._pool = None

    def __call__(self, work):
        """Captures `work`, a function without arguments. Returns what it gave, tensors in the pool that hold nothing
        yet, and a function that does it again on the same memory. RuntimeError where it cannot be captured."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # The outer context is for a capture that fails: torch then stays on the capture's stream. Other threads, such
        # as those that make previews, may use the GPU meanwhile.
        with torch.cuda.stream(torch.cuda.current_stream()), \
                torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            given = work()
        return given, graph.replay


class CapturedCall:
    """One kind of call, captured."""

    def __init__(self, record, forward, inputs: dict, features, inherited: dict):
        self._inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        self._inherited = {node: value.clone() for node, value in inherited.items()}

        def work():
            captured = features.on(self._inherited)
            return forward(self._inputs, captured), captured.kept_values, captured

        (self._output, self._kept, self._features), self._replay = record(work)

    def __call__(self, inputs: dict, features, inherited: dict) -> torch.Tensor:
        """What `forward(inputs, features)` would give and book; `inherited`: what stands in, by node."""
        for name, buffer in self._inputs.items():
            buffer.copy_(inputs[name])
        for node, buffer in self._inherited.items():
            buffer.copy_(inherited[node])
        self._replay()
        features.repeat(self._features, self._kept)
        return self._output.clone()


def _kind(inputs: dict, features, inherited: dict) -> tuple:
    """All that decides which kernels run on what shapes."""
    def shapes(tensors):
        return tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in sorted(tensors.items()))

    return (shapes(inputs), inputs["x"].device, shapes(inherited), tuple(sorted(features.wanted_nodes)),
            features.guided_rows, torch.is_inference_mode_enabled())


class RunGraphs:
    """The graphs of one sampling run, by kind of call. The first call of a kind runs as ever, so that libraries choose
    their kernels and make their handles outside of a capture; the second is captured."""

    def __init__(self, record=None):
        self._record = record or CudaRecorder()
        self._weights = None
        self._calls = {}  # kind -> CapturedCall, None after the first call
        self.stopped = ""  # why this run goes without, where it does

    def forward(self, forward, inputs: dict, features, weights, room) -> torch.Tensor:
        """What `forward(inputs, features)` gives, and books in `features`.

        `inputs`: tensors by name; `weights`: what the graphs point into; `room()`: whether memory permits a capture.
        """
        if weights is not self._weights:
            self._forget_for(weights)
        if self.stopped or features.searches:  # a search: what runs depends on values
            return forward(inputs, features)
        inherited = features.inherited_values  # forecasts are computed here, once a call
        kind = _kind(inputs, features, inherited)
        if kind not in self._calls:
            if len(self._calls) < _MOST_KINDS:
                self._calls[kind] = None
            return forward(inputs, features)
        if self._calls[kind] is None:
            self._capture(kind, forward, inputs, features, inherited, room)
        captured = self._calls.get(kind)
        return forward(inputs, features) if captured is None else captured(inputs, features, inherited)

    def _forget_for(self, weights):
        if any(self._calls.values()):
            self._stop("the host changed weights in mid-run")  # and will again: each capture would serve a few calls
        self._calls.clear()
        self._weights = weights

    def _capture(self, kind, forward, inputs, features, inherited, room):
        if not room():
            self._stop("too little free memory")
            return
        try:
            self._calls[kind] = CapturedCall(self._record, forward, inputs, features, inherited)
        except RuntimeError as error:  # also out of memory; what is wrong with the call itself, the plain one will say
            self._stop(str(error))

    def _stop(self, reason: str):
        self.stopped = reason
        self._calls.clear()
        log.warning("the rest of this run goes without CUDA graphs: %s", reason)

    def close(self):
        """Drops the graphs and their memory."""
        self._calls.clear()
        self._weights = None
