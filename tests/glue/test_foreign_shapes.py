"""Calls whose shapes no sampler of the host's brings, and which its forward takes: the engine gives what that gives."""

import pytest
import torch
from closeness import relative_error

# What is changed of the arguments of a call, by name.
SHAPES = {
    "one time step for the batch": {"timesteps": lambda t: t[:1]},
    "integer time steps": {"timesteps": lambda t: t.to(torch.int64)},
    "one token": {"context": lambda c: c[:, :1]},
    "a size that no level halves evenly": {"x": lambda x: x[..., :11, :13]},
    "one pixel": {"x": lambda x: x[..., :1, :1]},
    "two pixels": {"x": lambda x: x[..., :1, :2]},
    "channels last": {"x": lambda x: x.to(memory_format=torch.channels_last)},
    "a view with gaps": {"x": lambda x: x[..., ::2]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_foreign_shape_gives_what_the_host_gives(hosted, shape, engine_calls):
    from support import calls, models
    inputs = models.random_inputs(hosted.patcher)
    inputs |= {name: change(inputs[name]) for name, change in SHAPES[shape].items()}

    def called(patcher, off=None):
        x = inputs["x"] if off is None else inputs["x"] * (1.0 + off)
        calls.load(patcher)
        try:
            return calls.forward(patcher, inputs | {"x": x})
        finally:
            calls.unload(patcher)

    stock = called(hosted.patcher)
    assert not engine_calls
    found = called(hosted.exact())
    assert engine_calls
    assert found.shape == stock.shape
    # Norms over one or two numbers, as of one pixel, make much of rounding: how much, the host itself shows. Each
    # number is off by another share, as by rounding: a norm undoes what all have in common.
    random = torch.Generator().manual_seed(0)
    grown = max(relative_error(stock, called(hosted.patcher, off=1e-6 * torch.randn(inputs["x"].shape,
                                                                                    generator=random)))
                for _ in range(4))
    assert relative_error(stock, found) < max(1e-5, 2 * grown)
