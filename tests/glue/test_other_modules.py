"""Diffusion models that no node has met: copies called outside of a run, and other UNets called inside of one."""

import copy

import pytest
import torch
from closeness import relative_error
from hosted_model import actions

STEPS = 4


def called(hosted, module, model):
    """A call of `module` with the options of `model`, as nodes make them that sample by their own means."""
    from support import models
    inputs = models.random_inputs(hosted.patcher)
    with torch.inference_mode():
        return module(inputs["x"], inputs["timesteps"], context=inputs["context"],
                      transformer_options=model.model_options["transformer_options"].copy())


def test_a_copy_runs_in_the_engine_outside_of_a_run(hosted, engine_calls):
    other = copy.deepcopy(hosted.patcher.model.diffusion_model)
    with torch.no_grad():
        other.out[2].weight.mul_(1.5)
    found = called(hosted, other, hosted.exact())
    assert [module for _, module in engine_calls] == [other]
    assert relative_error(called(hosted, other, hosted.patcher), found) < 1e-5


def test_a_call_outside_of_a_run_keeps_no_working_memory(hosted, engine_calls, glue):
    called(hosted, hosted.patcher.model.diffusion_model, hosted.exact())
    assert len(engine_calls) == 1
    assert glue("host.hosted_unet").hosted_unet(hosted.patcher.model).unet.workspace_bytes() == 0


@pytest.mark.parametrize(("of_run", "called_inside"), [("full", "s0_s1"), ("s0_s1", "full")])
def test_another_unet_called_inside_of_a_run(hosted, engine_calls, of_run, called_inside):
    from support import models
    plain = {"full": hosted.patcher, "s0_s1": models.assembled(hosted.pack, hosted.patcher, "s0_s1")}

    def sample(model):
        other = plain[called_inside].model

        def both(apply_model, given):
            arguments = given["input"], given["timestep"]
            return (apply_model(*arguments, **given["c"]) + other.apply_model(*arguments, **given["c"])) / 2

        changed = model.clone()
        changed.set_model_unet_function_wrapper(both)
        return hosted.sample(changed, steps=STEPS)

    expected = sample(plain[of_run])
    found = sample(hosted.host.with_native_engine(plain[of_run]))
    assert relative_error(hosted.sample(plain[of_run], steps=STEPS), expected) > 1e-3
    assert relative_error(expected, found) < 1e-5
    assert plain[of_run].model.diffusion_model in [module for _, module in engine_calls]


def test_features_of_one_unet_serve_no_other(hosted):
    """Two of one structure in one run, as a pack that switches by itself calls them."""
    from support import models
    other = models.make_patcher(hosted.pack, "sd15", 32, seed=9)
    calls = []

    def first_then_other(apply_model, given):
        calls.append(given)
        apply = apply_model if len(calls) == 1 else other.model.apply_model
        return apply(given["input"], given["timestep"], **given["c"])

    model = hosted.inheriting()
    model.set_model_unet_function_wrapper(first_then_other)
    _, report = hosted.sampled(model, steps=STEPS)
    assert actions(report, "out.8").startswith("cci")
