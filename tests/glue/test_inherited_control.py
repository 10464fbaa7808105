"""ControlNets under inheritance, on the real host: run where the UNet needs them, and nowhere else."""

import itertools
import json

import pytest
import torch
from counted_control import CountedControl
from hosted_model import SIZE, split_batches

STEPS = 8
FULL = 3  # evaluations 0, 3 and 6


def sample(hosted, sites, control, **settings):
    """(latent, report, how often the ControlNet ran)."""
    model = hosted.inheriting(sites=sites, **settings)
    before = control.calls
    latent = hosted.sample(model, positive=hosted.cond(1, control=control.control),
                           negative=hosted.cond(2, control=control.control), steps=STEPS)
    return latent, hosted.report(model, latent), control.calls - before


@pytest.fixture
def always_asked(glue, monkeypatch):
    """As without stand-ins: the host runs the ControlNet before each call."""
    monkeypatch.setattr(glue("host.sampling_run"), "with_stand_ins", lambda conds, sigma: conds)


@pytest.fixture(scope="module")
def control(hosted):
    return CountedControl(hosted)


@pytest.fixture(scope="module")
def inherited_output(hosted, control):
    return sample(hosted, "out", control)


def test_is_not_run_where_the_whole_unet_is_inherited(inherited_output):
    _, report, calls = inherited_output
    assert calls == FULL
    assert (report["control_calls"], report["skipped_control_calls"]) == (STEPS, STEPS - FULL)
    row = report["addresses"][-1]
    assert (row["address"], row["computed"], row["not_run"]) == ("control", FULL, STEPS - FULL)
    assert row["actions"] == "c--c--c-"


def test_changes_nothing_by_not_running(hosted, control, inherited_output, always_asked):
    latent, _, calls = sample(hosted, "out", control)
    assert calls == STEPS
    assert torch.equal(latent, inherited_output[0])


def test_acts_on_the_picture(hosted, inherited_output):
    plain = hosted.sample(hosted.inheriting(sites="out"), steps=STEPS)
    assert not torch.allclose(plain, inherited_output[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("window", [(0.5, 1.0), (0.0, 0.5)])
@pytest.mark.parametrize("sites", ["control, out.8", "out", "out.8"])
def test_one_of_a_chain_that_begins_or_ends_in_mid_run_is_noticed(hosted, sites, window):
    first, second = CountedControl(hosted), CountedControl(hosted, percent=window)
    second.control.set_previous_controlnet(first.control)
    conds = {name: hosted.cond(seed, control=second.control, control_apply_to_uncond=True)
             for seed, name in enumerate(("positive", "negative"), start=1)}
    model = hosted.inheriting(sites=sites, interval=12)
    _, report = hosted.sampled(model, steps=12, **conds)
    assert report["forced_refreshes"] == {"a ControlNet begins or ends to act": 1}
    assert report["full"] == 2


def test_is_run_for_every_evaluation_that_computes_a_part(hosted, control):
    _, report, calls = sample(hosted, "out.8", control)
    assert calls == STEPS
    assert (report["control_calls"], report["skipped_control_calls"]) == (0, 0)


def test_kept_residuals_stand_in(hosted, control):
    latent, report, calls = sample(hosted, "control", control)
    assert calls == FULL
    assert latent.isfinite().all()
    row = report["addresses"][-1]
    assert (row["address"], row["computed"], row["inherited"]) == ("control", FULL, STEPS - FULL)
    assert row["actions"] == "ciiciici"
    assert report["sites"] == ["control"]
    assert report["mac_share"] == 1.0
    every, *_ = sample(hosted, "control", control, interval=1)
    assert not torch.equal(latent, every)
    # 12 residuals and that of the middle, each for cond and uncond.
    assert report["cache_bytes"] > 0


def test_residuals_and_features_are_inherited_together_and_replayed(hosted, control):
    latent, report, calls = sample(hosted, "out.8, control", control)
    assert calls == FULL
    assert json.loads(report["plan"])["evaluations"][1]["sites"] == ["out.8", "control"]
    again = hosted.sample(hosted.following(report["plan"]), positive=hosted.cond(1, control=control.control),
                          negative=hosted.cond(2, control=control.control), steps=STEPS)
    assert torch.equal(latent, again)


def test_the_bytes_of_kept_residuals_are_declared(hosted, glue, control):
    hosted_unet = glue("host.hosted_unet").hosted_unet(hosted.patcher.model)

    def bytes_of(sites):
        model = hosted.inheriting(sites=sites)
        _, report = hosted.sampled(model, positive=hosted.cond(1, control=control.control),
                                   negative=hosted.cond(2, control=control.control), steps=STEPS)
        declared = hosted_unet.kept_bytes(model.get_attachment("asdm"), [2, 4, SIZE, SIZE], 4, torch.device("cpu"))
        return report["cache_bytes"], declared

    (kept, declared), (kept_beside, declared_beside) = bytes_of("control, out.8"), bytes_of("out.8")
    assert kept - kept_beside == declared - declared_beside > 0


def test_too_old_residuals_are_made_anew(hosted, control):
    _, report, calls = sample(hosted, "control", control, interval=6, max_age=2)
    assert report["forced_refreshes"] == {"older than max_age": 1}
    assert calls == 3


def test_an_adaptive_run_spares_it_too(hosted, control):
    _, report, calls = sample(hosted, "out", control, mode="easycache", threshold=0.5)
    assert report["inherited"] > 0
    assert calls == report["full"] == STEPS - report["skipped_control_calls"]


@pytest.mark.parametrize("sites", ["out", "control", "out.8, control"])
@pytest.mark.parametrize("percent", [(0.0, 0.5), (0.4, 1.0)])
def test_its_own_range_is_kept(hosted, sites, percent):
    control = CountedControl(hosted, percent=percent)
    latent, report, calls = sample(hosted, sites, control)
    assert latent.isfinite().all()
    assert 0 < calls < FULL + 2
    assert report["full"] + report["inherited"] == report["evaluations"]


def test_cond_and_uncond_may_part_and_meet_again_in_mid_run(hosted, control, monkeypatch):
    """The host splits a batch when memory is short, which it looks at before every call."""
    whole, *_ = sample(hosted, "out.8, control", control)
    asked = itertools.count()
    split_batches(monkeypatch, lambda: next(asked) % 3 == 1)
    parted, report, _ = sample(hosted, "out.8, control", control)
    assert report["native_calls"] > report["evaluations"]
    assert report["forced_refreshes"] == {}
    torch.testing.assert_close(parted, whole, rtol=1e-3, atol=1e-3)


def test_the_hosts_conds_are_left_as_they_are(glue):
    control = object()
    conds = [[{"uuid": 1, "control": control}, {"uuid": 2}], None, [{"uuid": 3, "control": control}]]
    given = [None if group is None else [dict(cond) for cond in group] for group in conds]
    replaced = glue("host.control").with_stand_ins(conds, 1.0)
    assert conds == given
    assert replaced[0][0]["control"] is replaced[2][0]["control"] is not control
    assert replaced[0][1] is conds[0][1]
    assert replaced[1] is None
