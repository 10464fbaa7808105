"""How often a run reads a value from the device, which waits for all that was launched: counted on a CPU, in what the
glue does around a call. The call itself reads nothing (test_off_the_cpu.py)."""

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

STEPS = 8


class ReadByPython(TorchFunctionMode):
    """Counts tensors that become lists."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.reads += function is torch.Tensor.tolist
        return function(*args, **(kwargs or {}))


class ReadByOperators(TorchDispatchMode):
    """Counts tensors that become numbers, from Python or from C++."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.reads += function.overloadpacket.__name__ in ("item", "_local_scalar_dense", "is_nonzero", "equal")
        return function(*args, **(kwargs or {}))


@pytest.fixture
def reads(glue, monkeypatch):
    """Reads of a run, by the method of SamplingRun that made them."""
    counted = Counter()
    run_type = glue("host.sampling_run").SamplingRun

    def counting(name):
        method = getattr(run_type, name)

        def counted_method(*args):
            with ReadByPython() as lists, ReadByOperators() as numbers:
                result = method(*args)
            counted[name] += lists.reads + numbers.reads
            return result
        return counted_method

    for name in ("begin_evaluation", "begin_pass", "begin_call", "end_call"):
        monkeypatch.setattr(run_type, name, counting(name))
    return counted


@pytest.mark.parametrize("settings", [
    {"mode": "uniform", "interval": 3}, {"mode": "log_snr", "full_evaluations": 3},
    {"mode": "adaptive", "full_evaluations": 3}, {"mode": "easycache", "threshold": 0.3},
    {"mode": "adaptive", "sites": "transformers", "threshold": 0.3}])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_an_evaluation_waits_once(hosted, reads, settings, sampler):
    _, report = hosted.sampled(hosted.inheriting(**settings), hosted.sampler(sampler), steps=STEPS)
    assert report["inherited"] > 0
    assert +reads == {"begin_evaluation": report["evaluations"]}


def test_a_run_without_inheritance_never_waits(hosted, reads):
    _, report = hosted.sampled(hosted.exact(), steps=STEPS)
    assert report["evaluations"] == STEPS
    assert not +reads
