"""The engine off the CPU, shown on torch's meta device, where reading a value or mixing in a CPU tensor fails: a step
waits for nobody and sends nothing over, so that it can run ahead of a GPU and be captured in a graph."""

from collections import Counter

import pytest
import torch
from tiny_unet import TinyUNet
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SETTINGS = {"mode": "uniform", "interval": 2, "full_evaluations": 0, "start_percent": 0.0, "end_percent": 1.0,
            "max_age": 0}


class Watch(TorchDispatchMode):
    """Counts the operators that run, and the devices of what they make."""

    def __init__(self):
        super().__init__()
        self.operators = Counter()
        self.devices = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operators[function.overloadpacket.__name__] += 1
        self.devices.update(t.device.type for t in tree_leaves(result) if torch.is_tensor(t))
        return result


@pytest.fixture
def tiny(native):
    return TinyUNet(native, "meta", torch.float16)


def test_a_call_stays_on_its_device(tiny):
    inputs = tiny.inputs(height=12, width=8, batch=2)
    with Watch() as watch:
        output = tiny.call(inputs)
    assert output.shape == (2, 4, 12, 8)
    assert output.dtype == torch.float16
    assert set(watch.devices) == {"meta"}
    assert watch.operators["convolution"] > 50
    # What only our CPU kernels need: padding for the edges of images.
    assert watch.operators["zeros"] == 0


def test_inheritance_stays_on_the_device(native, tiny):
    run = native.Run(native.InheritanceSettings(sites=tiny.unet.resolve_sites("auto"), **SETTINGS), [2.0, 1.0, 0.0],
                     len(tiny.unet.node_addresses()))
    inputs = tiny.inputs(batch=2)
    with Watch() as watch:
        for sigma in (2.0, 1.0):
            run.begin_evaluation(sigma)
            features = run.begin_call(["uncond", "cond"])
            tiny.call(inputs, features)
            run.end_call(features)
    assert features.inherits
    assert set(watch.devices) == {"meta"}
