"""CUDA graphs of whole forward calls: one launch where there were thousands. Not yet measured on a GPU.

A graph does its kernels again on the memory that they had when it was captured. So it has input buffers of its own,
which each call is copied into, and what it leaves in the graphs' common pool is copied out before another graph can
write there.
"""

import comfy.model_management
import torch

from .dynamic_vram import wants_no_graphs

_ROOM = 3  # calls' memory: for the pool of graphs, and twice for the host, which asks for 1.5 times to batch conds


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
        self.taken = 0  # bytes of the device that captures took, for good

    def __call__(self, work):
        """Captures `work`, a function without arguments. Returns what it gave, tensors in the pool that hold nothing
        yet, and a function that does it again on the same memory. RuntimeError where it cannot be captured."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        torch.cuda.empty_cache()  # as the capture does: what that gives back is not to hide what it takes
        free = torch.cuda.mem_get_info()[0]
        # The outer context is for a capture that fails: torch then stays on the capture's stream. Other threads, such
        # as those that make previews, may use the GPU meanwhile.
        with torch.cuda.stream(torch.cuda.current_stream()), \
                torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            given = work()
        self.taken += max(0, free - torch.cuda.mem_get_info()[0])
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
        self._features.drop_values()  # those of this run, which the graph may outlive

    def __call__(self, inputs: dict, features, inherited: dict) -> torch.Tensor:
        """What `forward(inputs, features)` would give and book; `inherited`: what stands in, by node."""
        for name, buffer in self._inputs.items():
            buffer.copy_(inputs[name])
        for node, buffer in self._inherited.items():
            buffer.copy_(inherited[node])
        self._replay()
        features.repeat(self._features, self._kept)
        return self._output.clone()
