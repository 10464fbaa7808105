"""The engine off the CPU, shown on torch's meta device, where reading a value or mixing in a CPU tensor fails: a step
waits for nobody and sends nothing over, so that it can run ahead of a GPU and be captured in a graph."""

from collections import Counter

import pytest
import torch
from tiny_unet import TinyUNet
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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


@pytest.mark.parametrize("value", ["hold", "taylor1", "taylor2", "affine"])
@pytest.mark.parametrize("sites", ["out.8", "transformers", "attn1, in.4.res.conv, guidance"])
def test_inheritance_stays_on_the_device(native, tiny, sites, value):
    sigmas = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    settings = tiny.settings({"level": "block", "sites": sites, "mode": "uniform", "interval": 2, "value": value})
    run = native.Run(settings, [*sigmas, 0.0], tiny.unet)
    inputs = tiny.inputs(batch=2)
    with Watch() as watch:
        for sigma in sigmas:
            run.begin_evaluation(sigma)
            features = run.begin_call(["uncond", "cond"], [1, 0], 2)
            run.end_call(features, tiny.call(inputs, features))
    assert features.inherits
    assert set(watch.devices) == {"meta"}
