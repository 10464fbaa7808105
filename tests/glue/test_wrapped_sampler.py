"""A SAMPLER that carries inheritance, on the real host: equal to the model's, and without a trace afterwards."""

import contextlib
import json

import pytest
import torch
from hosted_model import INHERITANCE, recorded_runs

OTHER = {"level": "unit", "sites": "auto", "mode": "uniform", "interval": 2, "value": "taylor1"}


def traces(patcher) -> dict:
    """What the pack could have left on a MODEL and the modules below it."""
    network = patcher.model.diffusion_model
    return {"network": set(vars(network)), "model": set(vars(patcher.model)), "forward": network._forward,
            "options": json.dumps(patcher.model_options, default=str), "patches": dict(patcher.object_patches),
            "attachments": dict(patcher.attachments), "wrappers": json.dumps(patcher.wrappers, default=str)}


@pytest.mark.parametrize("inheritance", [INHERITANCE, OTHER])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_equals_the_same_inheritance_on_the_model(hosted, inheritance, sampler):
    on_model = hosted.sample(hosted.with_inheritance(hosted.patcher, inheritance), hosted.sampler(sampler))
    wrapped = hosted.wrap_sampler(hosted.sampler(sampler), inheritance)
    assert torch.equal(on_model, hosted.sample(hosted.patcher, wrapped))
    engine = hosted.exact()
    assert torch.equal(on_model, hosted.sample(engine, wrapped))


@pytest.mark.parametrize("carries", ["nothing", "engine", "inheritance"])
def test_leaves_no_trace_on_the_model(hosted, carries):
    model = {"nothing": lambda: hosted.patcher.clone(),
             "engine": hosted.exact,
             "inheritance": lambda: hosted.with_inheritance(hosted.patcher, OTHER)}[carries]()
    own = hosted.sample(model)
    before = traces(model)
    wrapped = hosted.wrap_sampler(hosted.sampler(), INHERITANCE)
    inherited = hosted.sample(model, wrapped)
    assert not torch.equal(own, inherited)
    assert traces(model) == before
    assert torch.equal(own, hosted.sample(model))


class Stop(Exception):
    """Stands for the host's interrupt, which is an exception of its own."""


def stop_at(step):
    def callback(done, *_):
        if done == step:
            raise Stop
    return callback


def test_an_interrupt_leaves_no_trace_either(hosted):
    wrapped = hosted.wrap_sampler(hosted.sampler(), INHERITANCE)
    first = hosted.sample(hosted.patcher, wrapped)
    before = traces(hosted.patcher)
    with pytest.raises(Stop):
        hosted.sample(hosted.patcher, wrapped, callback=stop_at(4))
    assert traces(hosted.patcher) == before
    assert torch.equal(first, hosted.sample(hosted.patcher, wrapped))


@pytest.mark.parametrize("carried_by", ["model", "sampler"])
@pytest.mark.parametrize("ends", ["by itself", "by an interrupt"])
def test_a_run_that_ended_keeps_no_features(hosted, glue, monkeypatch, carried_by, ends):
    stored = []
    runs = recorded_runs(monkeypatch, glue("host.run_wrappers" if carried_by == "model" else "host.sampler"))

    def callback(step, *_):
        stored.append(runs[0]._native.cache_bytes)
        if step == 5 and ends == "by an interrupt":
            raise Stop

    model, sampler = hosted.patcher, hosted.sampler()
    if carried_by == "model":
        model = hosted.with_inheritance(model, INHERITANCE)
    else:
        sampler = hosted.wrap_sampler(sampler, INHERITANCE)
    with contextlib.suppress(Stop):
        hosted.sample(model, sampler, callback=callback)
    (run,) = runs
    assert stored[-1] > 0
    assert run._native.cache_bytes == 0
    assert not run.bound._bindings


def test_the_settings_of_the_sampler_win_and_the_report_says_so(hosted):
    model = hosted.with_inheritance(hosted.patcher, OTHER)
    wrapped = hosted.wrap_sampler(hosted.sampler(), INHERITANCE)
    latent = hosted.sample(model, wrapped)
    assert torch.equal(latent, hosted.sample(hosted.patcher, wrapped))
    report = hosted.report(model, latent)
    assert report["sites"] == ["out.8"]
    assert any("settings of the sampler" in note for note in report["notes"])


def test_the_report_is_found_by_the_model_that_the_sampler_met(hosted):
    model = hosted.patcher.clone()
    denoised = {}
    wrapped = hosted.wrap_sampler(hosted.sampler(), INHERITANCE)
    latent = hosted.sample(model, wrapped, callback=lambda step, x0, *_: denoised.update(last=x0))
    report = hosted.report(model, latent)
    assert (report["evaluations"], report["full"], report["inherited"]) == (8, 3, 5)
    last = model.model.process_latent_out(denoised["last"].cpu())
    assert hosted.report(model, last)["evaluations"] == 8


@pytest.mark.parametrize(("given", "reason"), [
    ("another model", "the model has no ASDM node before it"),
    ("another clone", "no sampler has made a step with this model"),
    ("another latent", "connect the LATENT as the sampler gave it")])
def test_a_report_that_is_not_found_says_what_to_connect(hosted, given, reason):
    model = hosted.exact()
    latent = hosted.sample(model, steps=2)
    if given == "another latent":
        latent = latent * 2.0
    report = hosted.report({"another model": hosted.patcher.clone(), "another clone": hosted.exact(),
                            "another latent": model}[given], latent)
    assert not report["found"]
    assert reason in report["reason"]


def test_errors_name_the_node_that_gave_the_settings(native, hosted):
    node = "ASDMFeatureInheritance"
    with pytest.raises(ValueError, match=rf"^{node}\.sites: expected one of"):
        hosted.with_inheritance(hosted.patcher, INHERITANCE | {"sites": "out.99"}, node)
    plan = native.Plan(family="sd1", steps=2, evaluations=[(9.0, []), (8.0, ["out.99"])])
    with pytest.raises(ValueError, match=r"^ASDMApplyPlan\.plan\.evaluations\[1\]\.sites: expected one of"):
        hosted.with_inheritance(hosted.patcher, plan, "ASDMApplyPlan.plan")
    wrapped = hosted.wrap_sampler(hosted.sampler(), INHERITANCE | {"sites": "out.99"}, "ASDMWrapSampler")
    with pytest.raises(ValueError, match=r"^ASDMWrapSampler\.sites: expected one of"):
        hosted.sample(hosted.patcher.clone(), wrapped)


def test_a_wrapped_sampler_may_be_wrapped_again(hosted):
    inner = hosted.wrap_sampler(hosted.sampler(), INHERITANCE)
    outer = hosted.wrap_sampler(inner, OTHER)
    model = hosted.patcher.clone()
    latent = hosted.sample(model, inner)
    once = hosted.report(model, latent)
    model = hosted.patcher.clone()
    assert torch.equal(latent, hosted.sample(model, outer))
    twice = hosted.report(model, latent)
    assert twice["inherited"] == once["inherited"] > 0
    assert twice["plan"] == once["plan"]
    assert "the settings of the sampler were in force, those of the one around it were not" in twice["notes"]


def test_shows_what_the_sampler_shows(hosted):
    sampler = hosted.sampler("dpmpp_2m")
    wrapped = hosted.wrap_sampler(sampler, INHERITANCE)
    assert wrapped.sampler_function is sampler.sampler_function
    assert wrapped.extra_options is sampler.extra_options
    with pytest.raises(AttributeError):
        wrapped.not_there  # noqa: B018


@pytest.mark.parametrize("inheritance", [
    INHERITANCE, OTHER, INHERITANCE | {"sites": "guidance"}, INHERITANCE | {"sites": "out", "value": "taylor2"},
    {"level": "block", "sites": "auto", "mode": "adaptive", "interval": 3, "threshold": 0.3},
    {"level": "block", "sites": "auto", "mode": "easycache", "interval": 3, "threshold": 0.3},
])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_a_recorded_run_is_replayed_bit_for_bit(hosted, inheritance, sampler):
    model = hosted.with_inheritance(hosted.patcher, inheritance)
    recorded = hosted.sample(model, hosted.sampler(sampler))
    report = hosted.report(model, recorded)
    assert report["inherited"] > 0
    model = hosted.following(report["plan"])
    replayed = hosted.sample(model, hosted.sampler(sampler))
    assert torch.equal(recorded, replayed)
    again = hosted.report(model, replayed)
    assert again["plan"] == report["plan"]
    assert again["notes"] == []
    followed = hosted.wrap_sampler(hosted.sampler(sampler), hosted.plan(report["plan"]))
    assert torch.equal(recorded, hosted.sample(hosted.patcher, followed))


def test_a_plan_for_another_schedule_is_followed_by_index_and_noted(native, hosted):
    plan = native.Plan(family="sdxl", steps=3,
                       evaluations=[(float(hosted.sigmas()[0]), []), (9.0, ["out.8"]), (1.0, [])])
    model = hosted.with_inheritance(hosted.patcher, plan)
    report = hosted.report(model, hosted.sample(model))
    assert [row["actions"] for row in report["addresses"] if row["address"] == "out.8"] == ["cicccccc"]
    assert "the plan was made for sdxl, this UNet is sd1" in report["notes"]
    assert "the plan has 3 evaluations, the run made 8; those behind it were full" in report["notes"]
    assert any(note.startswith("sigmas are not the plan's from evaluation 1 on") for note in report["notes"])
