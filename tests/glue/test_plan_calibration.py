"""Calibrating a plan: on a small UNet of the host's, sampled by the host's own KSampler."""

import json

import pytest
import torch
from hosted_model import SIZE, HostedModel

SIGNATURE = ("positive", "negative", "latent_image", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise",
             "target_speedup")


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


def asked(hosted, **changes):
    """A run of six steps, as the node asks for it."""
    given = {"positive": hosted.cond(1), "negative": hosted.cond(2), "seed": 3, "steps": 6, "cfg": 5.0,
             "latent_image": {"samples": torch.zeros(2, 4, SIZE, SIZE)}, "sampler_name": "euler", "scheduler": "normal",
             "denoise": 1.0, "target_speedup": 1.4}
    return given | changes


def sampled(hosted, model, run):
    """(latents, report) of that run by the host's node KSampler."""
    import nodes
    (latent,) = nodes.KSampler().sample(
        model, run["seed"], run["steps"], run["cfg"], run["sampler_name"], run["scheduler"], run["positive"],
        run["negative"], run["latent_image"], run["denoise"])
    return latent["samples"], hosted.report(model, latent["samples"])


@pytest.mark.parametrize("changes", [{}, {"sampler_name": "heun"}, {"sampler_name": "dpmpp_2m", "denoise": 0.6}])
def test_the_plan_is_the_closest_tried_and_fits_the_run(hosted, changes):
    run = asked(hosted, **changes)
    found = hosted.host.calibrate_plan(hosted.patcher, run)
    closeness = [psnr for _, psnr in found["tried"]]
    assert 1 <= len(closeness) <= 24
    assert found["reached"] == (found["tried"][found["chosen"]][0] >= 1.4 * 0.98)
    reached = [psnr for speedup, psnr in found["tried"] if speedup >= 1.4 * 0.98]
    assert not reached or closeness[found["chosen"]] == max(reached)
    exact, _ = sampled(hosted, hosted.exact(), run)
    latents, report = sampled(hosted, hosted.following(found["plan"].json()), run)
    assert report["notes"] == []  # no other schedule than the plan's
    assert report["inherited"] > 0
    error = (exact - latents).square().mean(dim=(1, 2, 3)).sqrt()
    peak = exact.amax(dim=(1, 2, 3)) - exact.amin(dim=(1, 2, 3))
    measured = (20 * torch.log10(peak / error)).clamp(max=100.0)  # where a fast machine lets nearly all be computed
    assert float(measured.mean()) == pytest.approx(closeness[found["chosen"]], abs=0.01)


def test_what_the_model_inherits_already_is_left_out(hosted):
    run = asked(hosted, target_speedup=1.0)
    found = hosted.host.calibrate_plan(hosted.inheriting(), run)
    assert found["tried"] == [(1.0, 100.0)]
    assert not any(found["plan"].sites)


def test_a_speed_out_of_reach_gives_the_fastest_plan(hosted):
    found = hosted.host.calibrate_plan(hosted.patcher, asked(hosted, target_speedup=20.0))
    assert not found["reached"]
    assert found["tried"][found["chosen"]][0] == max(speedup for speedup, _ in found["tried"])
    assert sum(not sites for sites in found["plan"].sites) == 1


def test_models_that_cannot_be_calibrated_are_refused(hosted, glue):
    switched = hosted.host.with_early_unet(hosted.exact(), HostedModel(glue).exact(), 0.5)
    with pytest.raises(ValueError, match="expected a model of one UNet, got one that switches"):
        hosted.host.calibrate_plan(switched, asked(hosted))
    foreign = hosted.patcher.clone()
    foreign.add_object_patch("diffusion_model._forward", lambda x, *arguments, **named: x)
    with pytest.raises(ValueError, match="runs in the native engine, got calls.*_forward of its own"):
        hosted.host.calibrate_plan(foreign, asked(hosted))


def test_the_node_brings_all_that_the_host_asks_for(native):
    """What crosses from C++ has the names that python_glue reads."""
    given = {}

    class Host:
        def expected_instead(self, kind, value):
            return None

        def describe_model(self, model):
            return {"class_name": "UNetModel", "spec": native.preset_spec("sd15", 32), "refusal": ""}

        def calibrate_plan(self, model, run):
            given.update(run)
            plan = native.Plan(family="sd1", steps=1, evaluations=[(1.0, [])])
            return {"plan": plan, "tried": [(1.0, 100.0)], "chosen": 0, "reached": True, "plot": None}

    result = native.execute("ASDMCalibratePlan", Host(), {
        "model": object(), "positive": [], "negative": [], "latent_image": {}, "sampler_name": "euler",
        "scheduler": "normal"})
    assert tuple(given) == SIGNATURE
    assert json.loads(result["outputs"][0])["evaluations"] == [{"sigma": 1.0, "sites": []}]
