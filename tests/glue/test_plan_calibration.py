"""Calibrating a plan: on a small UNet of the host's, sampled by the host's own KSampler."""

import itertools
import json

import pytest
import torch
from hosted_model import SIZE, HostedModel

SIGNATURE = ("positive", "negative", "latent_image", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise",
             "target_speedup", "effort", "remember")


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture(scope="module")
def calibration(glue):
    return glue("host.plan_calibration")


def asked(hosted, **changes):
    """A run of six steps, as the node asks for it."""
    given = {"positive": hosted.cond(1), "negative": hosted.cond(2), "seed": 3, "steps": 6, "cfg": 5.0,
             "latent_image": {"samples": torch.zeros(2, 4, SIZE, SIZE)}, "sampler_name": "euler", "scheduler": "normal",
             "denoise": 1.0, "target_speedup": 1.4, "effort": "quick", "remember": "no"}
    return given | changes


def sampled(hosted, model, run):
    """(latents, report) of that run by the host's node KSampler."""
    import nodes
    (latent,) = nodes.KSampler().sample(
        model, run["seed"], run["steps"], run["cfg"], run["sampler_name"], run["scheduler"], run["positive"],
        run["negative"], run["latent_image"], run["denoise"])
    return latent["samples"], hosted.report(model, latent["samples"])


def closeness(exact, latents):
    error = (exact - latents).square().mean(dim=(1, 2, 3)).sqrt()
    peak = exact.amax(dim=(1, 2, 3)) - exact.amin(dim=(1, 2, 3))
    return float((20 * torch.log10(peak / error)).clamp(max=100.0).mean())


@pytest.fixture
def followed(hosted, monkeypatch):
    """The sites of each plan that is run from here on."""
    seen, make = [], hosted.host.with_inheritance
    monkeypatch.setattr(hosted.host, "with_inheritance",
                        lambda model, plan, where="": seen.append(plan.sites) or make(model, plan, where))
    return seen


@pytest.mark.parametrize("changes", [{}, {"sampler_name": "heun"}, {"sampler_name": "dpmpp_2m", "denoise": 0.6},
                                     {"sampler_name": "euler_ancestral", "effort": "normal"}])
def test_the_plan_is_the_closest_tried_and_fits_the_run(hosted, native, changes):
    run = asked(hosted, **changes)
    found = hosted.host.calibrate_plan(hosted.patcher, run)
    assert found["reached"]
    assert found["runs"] == 1 + len(found["tried"]) + 2 <= native.runs_from(run["effort"])
    least_work, psnr = found["tried"][found["chosen"]]
    closest = max(psnr for speedup, psnr in found["tried"] if speedup >= 1.4)
    assert psnr == closest or (found["chosen"] == 0 and closest < psnr + 1.0)
    for seed, expected in ((run["seed"], psnr), (run["seed"] + 1, found["judged"])):
        exact, _ = sampled(hosted, hosted.exact(), run | {"seed": seed})
        latents, report = sampled(hosted, hosted.following(found["plan"].json()), run | {"seed": seed})
        assert report["notes"] == []  # no other schedule than the plan's
        assert 1 / report["mac_share"] == pytest.approx(least_work, rel=1e-3)
        assert closeness(exact, latents) == pytest.approx(expected, abs=0.01)


def test_the_same_run_gives_the_same_plan_however_long_it_takes(hosted, calibration, monkeypatch):
    run = asked(hosted, effort="normal")
    first = hosted.host.calibrate_plan(hosted.patcher, run)
    slow = itertools.count(0, 1000)
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: float(next(slow)))
    second = hosted.host.calibrate_plan(hosted.patcher, run)
    assert first["plan"] == second["plan"]
    assert first["tried"] == second["tried"]


def test_the_plans_of_the_dial_and_of_segment_are_tried_first(hosted, followed):
    run = asked(hosted, target_speedup=2.0, steps=12)
    _, dial = sampled(hosted, hosted.inheriting(speed="2x"), run)
    followed.clear()
    hosted.host.calibrate_plan(hosted.patcher, run)
    assert followed[0] == [entry["sites"] for entry in json.loads(dial["plan"])["evaluations"]]
    count = sum(not sites for sites in followed[1])
    _, segment = sampled(hosted, hosted.inheriting(sites="auto", mode="segment", full_evaluations=count), run)
    assert followed[1] == [entry["sites"] for entry in json.loads(segment["plan"])["evaluations"]]


def test_what_plans_lost_decides_which_is_tried_next(hosted, calibration, followed, monkeypatch):
    """Where the first loses more than was predicted, the third is another one than where it loses less."""
    thirds = []
    for losses in ((60.0, 20.0), (20.0, 60.0)):
        found = iter([*losses, 30.0, 30.0])
        monkeypatch.setattr(calibration, "_psnr", lambda *_, found=found: next(found))
        followed.clear()
        hosted.host.calibrate_plan(hosted.patcher, asked(hosted, steps=12))
        thirds.append(followed[2])
    assert thirds[0] != thirds[1]
    assert thirds[0] not in followed[:2]


def test_the_node_tells_how_far_it_is(hosted, calibration, monkeypatch):
    told = []
    monkeypatch.setattr(calibration, "show_on_nodes", lambda node_ids, text: told.append(text))
    found = hosted.host.calibrate_plan(hosted.patcher, asked(hosted))
    assert told[0] == "run 1 of 6"
    speedup, psnr = found["tried"][0]
    assert told[2].startswith(f"run 3 of 6, best {speedup:.3g}x at {psnr:.0f} dB, about ")
    assert told[-1] == f"runs: {found['runs']}"


@pytest.mark.parametrize(("closer", "chosen"), [(0.9, 0), (1.1, 2)])
def test_the_dials_plan_stays_where_another_is_hardly_closer(hosted, calibration, monkeypatch, closer, chosen):
    found = iter([40.0, 30.0, 40.0 + closer, 38.0])
    monkeypatch.setattr(calibration, "_psnr", lambda *_: next(found))
    assert hosted.host.calibrate_plan(hosted.patcher, asked(hosted, steps=12))["chosen"] == chosen


def test_what_the_model_inherits_already_is_left_out(hosted):
    run = asked(hosted, target_speedup=1.0)
    found = hosted.host.calibrate_plan(hosted.inheriting(), run)
    assert found["tried"] == [(1.0, 100.0)]
    assert found["judged"] == 100.0
    assert not any(found["plan"].sites)


def test_what_is_told_is_what_the_runs_did(hosted):
    """A conditioning that begins in mid-run has evaluations compute that were to inherit."""
    import nodes
    ranges = [(1, 0.0, 0.4), (7, 0.4, 0.7), (8, 0.7, 1.0)]
    scheduled = [cond for seed, *window in ranges
                 for cond in nodes.ConditioningSetTimestepRange().set_range(hosted.cond(seed), *window)[0]]
    run = asked(hosted, target_speedup=2.0, steps=12, positive=scheduled)
    found = hosted.host.calibrate_plan(hosted.patcher, run)
    _, report = sampled(hosted, hosted.following(found["plan"].json()), run)
    told, _ = found["tried"][found["chosen"]]
    assert told == pytest.approx(1 / report["mac_share"], rel=1e-3)
    assert found["reached"] == (told > 1.98)


def test_a_speed_out_of_reach_gives_the_plan_of_least_work(hosted):
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
            return {"plan": plan, "tried": [(1.0, 100.0)], "chosen": 0, "reached": True, "judged": 44.0,
                    "runs": 6, "plot": None}

    result = native.execute("ASDMCalibratePlan", Host(), {
        "model": object(), "positive": [], "negative": [], "latent_image": {}, "sampler_name": "euler",
        "scheduler": "normal"})
    assert tuple(given) == SIGNATURE
    assert given["effort"] == "thorough"  # a graph saved before there was this input
    assert result["ui_text"] == ("1 times less work at 44 dB with another seed: no difference to be seen. Plans "
                                 "tried: 1, runs: 6.")
    assert json.loads(result["outputs"][0])["evaluations"] == [{"sigma": 1.0, "sites": []}]
