"""The host's MultiGPU: conds of one evaluation on several devices at once, each with a copy of the model and a thread
of its own. Collected where the host has it (0.24 and newer); the CPU is both devices here."""

import threading

import pytest
import torch
from closeness import relative_error
from hosted_model import actions

OTHER = torch.device("cpu", 0)  # not equal to where the first model says it is
STEPS = 6


@pytest.fixture
def spread(hosted):
    """`spread(model)`: a clone of it that runs on two devices, as the node MultiGPU CFG Split makes it."""
    from support import models

    def factory(disable_dynamic=False):
        return models.make_patcher(hosted.pack, "sd15", 32)

    def on_two(model):
        model = model.clone()
        model.cached_patcher_init = (factory, ())
        second = model.deepclone_multigpu(new_load_device=OTHER)
        second.is_multigpu_base_clone = True
        model.set_additional_models("multigpu", [second])
        return model
    return on_two


def with_lora(model):
    generator = torch.Generator().manual_seed(4)
    patched = model.clone()
    patched.add_patches({name: ("diff", (torch.randn(weight.shape, generator=generator) * 0.1,))
                         for name, weight in model.model.named_parameters() if name.endswith("to_q.weight")}, 0.5)
    return patched


@pytest.fixture
def callers(glue, monkeypatch):
    """(thread, diffusion model) of each call that the engine makes."""
    seen = []
    EngineCall = glue("host.seam").EngineCall
    plain = EngineCall._by_engine
    monkeypatch.setattr(EngineCall, "_by_engine", lambda self, *a: seen.append(
        (threading.get_ident(), id(self._module))) or plain(self, *a))
    return seen


@pytest.mark.parametrize("behind", [False, True], ids=["our node before", "our node behind"])
@pytest.mark.parametrize("changed", [lambda model: model, with_lora], ids=["plain", "lora"])
def test_each_device_gives_what_the_host_gives(hosted, spread, changed, behind, callers):
    model = changed(hosted.patcher)
    expected = hosted.sample(model, steps=STEPS)

    def engine(patcher):
        return hosted.host.with_native_engine(patcher, {"compute_dtype": "auto"})

    found, report = hosted.sampled(engine(spread(model)) if behind else spread(engine(model)), steps=STEPS)
    assert relative_error(expected, found) < 1e-4
    assert len({module for _, module in callers}) == 2
    assert len({thread for thread, _ in callers}) == 2
    assert report["native_calls"] == 2 * STEPS
    assert report["fallback_calls"] == 0


def test_each_device_inherits_its_own(hosted, spread, callers):
    model = hosted.inheriting(interval=3)
    expected, of_one = hosted.sampled(model, steps=STEPS)
    found, of_two = hosted.sampled(spread(model), steps=STEPS)
    assert len({module for _, module in callers[-2 * STEPS:]}) == 2
    assert relative_error(expected, found) < 1e-4
    assert of_two["inherited"] == of_one["inherited"] > 0
    assert actions(of_two, "out.8") == actions(of_one, "out.8")
    assert of_two["mac_share"] == pytest.approx(of_one["mac_share"])
