"""The host's MultiGPU: conds of one evaluation on several devices at once, each with a copy of the model and a thread
of its own. Collected where the host has it (0.24 and newer); the CPU is both devices here."""

import pytest
import torch
from closeness import relative_error
from hosted_model import actions, with_lora

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


@pytest.mark.parametrize("behind", [False, True], ids=["our node before", "our node behind"])
@pytest.mark.parametrize("changed", [lambda model: model, with_lora], ids=["plain", "lora"])
def test_each_device_gives_what_the_host_gives(hosted, spread, changed, behind, engine_calls):
    model = changed(hosted.patcher)
    expected = hosted.sample(model, steps=STEPS)

    def engine(patcher):
        return hosted.host.with_native_engine(patcher)

    found, report = hosted.sampled(engine(spread(model)) if behind else spread(engine(model)), steps=STEPS)
    assert relative_error(expected, found) < 1e-4
    assert len({module for _, module in engine_calls}) == 2
    assert len({thread for thread, _ in engine_calls}) == 2
    assert report["native_calls"] == 2 * STEPS
    assert report["fallback_calls"] == 0


def test_each_device_inherits_its_own(hosted, spread, engine_calls):
    model = hosted.inheriting(interval=3)
    expected, of_one = hosted.sampled(model, steps=STEPS)
    found, of_two = hosted.sampled(spread(model), steps=STEPS)
    assert len({module for _, module in engine_calls[-2 * STEPS:]}) == 2
    assert relative_error(expected, found) < 1e-4
    assert of_two["inherited"] == of_one["inherited"] > 0
    assert actions(of_two, "out.8") == actions(of_one, "out.8")
    assert of_two["mac_share"] == pytest.approx(of_one["mac_share"])
