"""A native run through Python: settings by name, calls, the record in addresses, and its replay as a plan."""

import re
import time

import pytest
import torch
from tiny_unet import TOKENS, TinyUNet

SIGMAS = [4.0, 3.0, 2.0, 1.0, 0.0]
KEYS, ROLES = ["uncond", "cond"], [1, 0]


@pytest.fixture(scope="module")
def tiny(native):
    return TinyUNet(native)


def settings(tiny, **changes):
    chosen = {"level": "block", "sites": "auto", "mode": "uniform", "interval": 2} | changes
    return tiny.settings(chosen)


def sample(native, tiny, chosen):
    """The outputs of one call per evaluation, and (run, share of the multiply-accumulates that was computed)."""
    run = native.Run(chosen, SIGMAS, tiny.unet)
    outputs, macs = [], [0, 0]
    for sigma in SIGMAS[:-1]:
        measured = run.measure(torch.full((1, 4, 8, 8), sigma))
        run.begin_evaluation(sigma, measured=None if measured is None else measured.item())
        call = run.begin_call(keys=KEYS, roles=ROLES, rows=2)
        outputs.append(tiny.forward(batch=2, features=call))
        run.end_call(call, outputs[-1])
        macs = [a + b for a, b in zip(macs, tiny.unet.call_macs(call, 8, 8, TOKENS), strict=True)]
    return outputs, run, macs[0] / macs[1]


def test_without_settings_everything_is_full(native, tiny):
    _, run, share = sample(native, tiny, None)
    assert share == 1.0
    record = run.record
    assert (record["evaluations"], record["full"], record["inherited"], record["calls"]) == (4, 4, 0, 4)
    assert run.plan == [[]] * 4
    assert [entry["sigma"] for entry in record["log"]] == SIGMAS[:-1]


@pytest.mark.parametrize("changes", [
    {}, {"sites": "transformers", "level": "layer", "value": "taylor1"}, {"sites": "out.8, guidance"},
    {"mode": "adaptive", "threshold": 0.5}, {"mode": "adaptive", "full_evaluations": 2}, {"sites": "in.4.attn:output"},
    {"mode": "segment", "sites": "0-0.5: out.8; 0.5-1: out.10"}, {"mode": "explicit", "full_at": "1010"},
    {"storage": "bf16", "value": "taylor2", "first_full": 2},
])
def test_a_record_replays_as_a_plan(native, tiny, changes):
    outputs, run, share = sample(native, tiny, settings(tiny, **changes))
    assert share < 1.0
    record = run.record
    assert record["full"] + record["inherited"] == record["evaluations"] == 4
    assert [entry["sites"] for entry in record["log"]] == run.plan
    names = tiny.unet.node_addresses()
    for counts in ("computed_nodes", "inherited_nodes", "forecast_nodes"):
        assert len(record[counts]) == len(names)
    followed = native.Plan(family="sd1", steps=4, evaluations=[(1.0, sites) for sites in run.plan],
                           value=changes.get("value", "hold"), storage=changes.get("storage", "compute"))
    plan = native.InheritanceSettings(tiny.unet, followed)
    again, rerun, same_share = sample(native, tiny, plan)
    assert all(torch.equal(a, b) for a, b in zip(outputs, again, strict=True))
    assert rerun.plan == run.plan
    assert same_share == share


def test_the_log_names_what_was_done(native, tiny):
    _, run, _ = sample(native, tiny, settings(tiny, sites="out.8, out.9.attn.0.ff"))
    actions = [entry["actions"] for entry in run.record["log"]]
    assert [row["out.8"] for row in actions] == list("cici")
    assert [row["out.9.attn.0.ff"] for row in actions] == list("cici")
    assert [row["mid"] for row in actions] == list("c-c-")
    assert "in.1.res" not in actions[0]


def test_sites_of_now_are_those_decided(native, tiny):
    run = native.Run(settings(tiny, sites="out.8, control", interval=4), SIGMAS, tiny.unet)
    seen = []
    for sigma in SIGMAS[:-1]:
        run.begin_evaluation(sigma)
        seen.append(run.sites_now)
    assert seen == [[], ["out.8", "control"], ["out.8", "control"], ["out.8", "control"]]


def test_macs_of_a_guided_call_are_half(native, tiny):
    run = native.Run(settings(tiny, sites="guidance"), SIGMAS, tiny.unet)
    shares = []
    for sigma in SIGMAS[:2]:
        run.begin_evaluation(sigma)
        call = run.begin_call(KEYS, ROLES, 2)
        tiny.forward(batch=2, features=call)
        run.end_call(call)
        done, full = tiny.unet.call_macs(call, 8, 8, TOKENS)
        shares.append(done / full)
        assert call.is_guided == (shares[-1] < 1)
    assert shares == [1.0, 0.5]


@pytest.mark.parametrize(("changes", "message"), [
    ({"level": "pixel"}, "level: expected one of: block, layer, unit, got 'pixel'"),
    ({"mode": "never"}, "mode: expected one of: segment, uniform, "),
    ({"sites": "out.99"}, "got 'out.99'"),
    ({"value": "guess"}, "value: expected one of: hold, taylor1, taylor2, affine, got 'guess'"),
    ({"storage": "disk"}, "storage: expected one of"),
    ({"interval": 0}, "interval: expected at least 1"),
    ({"start_percent": 0.8, "end_percent": 0.2}, "start_percent, end_percent"),
    ({"mode": "adaptive"}, "threshold: expected more than 0"),
])
def test_settings_without_sense_are_refused(tiny, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        settings(tiny, **changes)


def test_a_plan_with_an_unknown_address_is_refused(native, tiny):
    plan = native.Plan(family="sd1", steps=1, evaluations=[(2.0, []), (1.0, ["out.99"])])
    with pytest.raises(ValueError, match="sites: expected one of"):
        native.InheritanceSettings(tiny.unet, plan)


@pytest.mark.parametrize(("address", "message"), [
    ("*" * 1_000_000, "sites: expected at most 100000 characters, got 1000000"),
    ("out." + "*" * 1000, "sites: expected names of at most 200 characters"),
    ("in.4.attn." + "*?" * 48 + "x", "sites: expected one of"),
])
def test_a_plan_of_stars_is_refused_soon(native, tiny, address, message):
    plan = native.Plan(family="sd1", steps=1, evaluations=[(2.0, []), (1.0, [address])])
    started = time.perf_counter()
    with pytest.raises(ValueError, match=message):
        native.InheritanceSettings(tiny.unet, plan)
    assert time.perf_counter() - started < 5.0


@pytest.mark.parametrize(("asked", "message"), [
    ({"intervall": 2}, "expected one of: level, sites, mode, interval"),
    ({"interval": "two"}, "inheritance.interval: expected a value of its type, got 'two'"),
])
def test_a_request_knows_its_names(native, asked, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        native.InheritanceRequest(**asked)


@pytest.mark.parametrize("trigger", ["a call without features", "the host"])
def test_a_call_after_one_that_must_compute_inherits_nothing(native, tiny, trigger):
    """Guidance compares the two, so they must be of one age."""
    run = native.Run(settings(tiny, sites="out.8", interval=4), SIGMAS, tiny.unet)

    def call(key):
        features = run.begin_call([key])
        tiny.forward(features=features)
        run.end_call(features)
        return features.inherits

    run.begin_evaluation(SIGMAS[0])
    assert not call("cond")
    assert not call("uncond")
    run.begin_evaluation(SIGMAS[1])
    if trigger == "the host":
        run.refuse_rest("for a reason")
        first, reasons = "cond", {"for a reason": 2}
    else:
        first, reasons = "other cond", {"no stored features for this conditioning and shape": 1,
                                        "another call of the evaluation was computed": 1}
    assert not call(first)
    assert not call("uncond")
    assert run.record["forced_refreshes"] == reasons
    run.begin_evaluation(SIGMAS[2])
    assert call(first)
    assert call("uncond")
