"""What a run tells: a line in the log, the same as text on the nodes of the graph that asked for it, and notes in its
report, of what a user would otherwise not know."""

import json
import logging

import pytest
from hosted_model import HostedModel

STEPS = 12


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture
def shown(glue, monkeypatch):
    """(node ids, text) of what nodes showed."""
    texts = []
    monkeypatch.setattr(glue("host.telling"), "show_on_nodes", lambda ids, text: texts.append((ids, text)))
    return texts


def told(glue, report: dict, asked_to_inherit: bool = True) -> list[str]:
    return glue("host.telling").run_told(report, asked_to_inherit)[0]


def test_a_run_tells_what_it_gained_on_the_node_and_in_the_log(hosted, shown, caplog):
    with caplog.at_level(logging.INFO, logger="asdm"):
        hosted.sampled(hosted.inheriting(interval=2), steps=STEPS)
    ((_, text),) = shown
    assert text.split(" · ")[0].endswith("faster")
    assert f" · 6 of {STEPS} full · " in text
    assert text.endswith(" kept")
    assert f"ASDM: {text}" in caplog.messages


def test_a_run_that_gained_nothing_says_so_and_why(hosted, shown, caplog):
    with caplog.at_level(logging.WARNING, logger="asdm"):
        hosted.sampled(hosted.inheriting(interval=1), steps=STEPS)
    ((_, text),) = shown
    assert text == (f"⚠ not faster: nothing was reused in {STEPS} steps: these settings inherit nothing in this run")
    assert [record for record in caplog.records if record.levelno == logging.WARNING]


def test_an_exact_run_is_told_as_one(hosted, shown):
    hosted.sampled(hosted.exact(), steps=STEPS)
    ((_, text),) = shown
    assert text.startswith(f"exact · {STEPS} of {STEPS} full · ")


def test_few_steps_are_told(hosted, shown):
    for steps, is_told in ((4, True), (STEPS, False)):
        hosted.sampled(hosted.inheriting(interval=2), steps=steps)
        assert ("few steps" in shown[-1][1]) == is_told


def test_a_second_inheritance_says_that_it_replaces_the_first(glue, hosted):
    first = hosted.inheriting(mode="uniform", interval=3)
    _, report = hosted.sampled(hosted.inheriting(first, interval=2), steps=STEPS)
    assert report["notes"] == ["replaces the inheritance that a node before it had set (mode uniform, interval 3)"]
    assert report["notes"][0] in told(glue, report)
    _, report = hosted.sampled(hosted.inheriting(hosted.following(report["plan"]), speed="2x"), steps=STEPS)
    assert "(a plan)" in report["notes"][0]
    assert report["notes"][1].startswith("speed 2x: ")
    _, report = hosted.sampled(hosted.host.with_native_engine(hosted.host.without_inheritance(first)), steps=STEPS)
    assert report["notes"] == []


@pytest.mark.parametrize(("settings", "note"), [
    ({"mode": "explicit", "full_at": "0, 4, 40"}, "full_at names 40, counted from 0, but the run had 12 evaluations"),
    ({"full_evaluations": 50}, "full_evaluations is 50, but the run had 12 evaluations: all of them were full"),
    ({"interval": 30}, "interval is 30, but the run had 12 evaluations: one was full"),
    ({"interval": 2, "first_full": 8, "last_full": 8}, "first_full and last_full keep 16 full, but the run had 12"),
    ({"interval": 2, "full_at": "0, 40"}, None),  # not of this mode
    ({"interval": 30, "speed": "2x"}, None),
    ({"interval": 30, "start_percent": 0.5}, None),  # full before, too
    ({"interval": 30, "first_full": 4}, None),
])
def test_settings_that_cannot_matter_are_told(hosted, settings, note):
    _, report = hosted.sampled(hosted.inheriting(**settings), steps=STEPS)
    found = [text for text in report["notes"] if "but the run had" in text]
    assert [text.startswith(note or "") for text in found] == ([True] if note else [])


def test_torch_compile_behind_the_engine_is_told(hosted):
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    model = hosted.inheriting(interval=2)
    set_torch_compile_wrapper(model, backend="eager")
    _, report = hosted.sampled(model, steps=STEPS)
    assert report["native_calls"] == STEPS
    assert [note for note in report["notes"] if note.startswith("torch.compile is on this model and gains nothing")]


def test_beside_another_cache_the_report_adds_up(glue, hosted):
    """An evaluation in which nobody called the UNet is work that was saved whole."""
    from comfy_extras.nodes_easycache import EasyCacheNode
    alone = hosted.sampled(hosted.exact(), steps=16)[1]
    assert alone["mac_share"] == 1.0
    _, report = hosted.sampled(EasyCacheNode.execute(hosted.exact(), 0.5, 0.1, 0.95, False).result[0], steps=16)
    assert report["idle"] > 0
    assert report["mac_share"] == pytest.approx(report["full"] / 16)
    (hint,) = [text for text in told(glue, report, asked_to_inherit=False) if "two skip work" in text]
    assert hint.startswith("EasyCache works on the same model")
    assert f"{report['full']} of 16 full, {report['idle']} without the UNet" in told(glue, report, False)[0]


def test_a_model_that_lost_the_engine_says_where_to_put_the_node(hosted):
    merged = hosted.patcher.clone()  # as ModelMergeSimple makes of its first model, whatever the second carries
    latent = hosted.sample(merged, steps=4)
    reason = json.loads(hosted.host.run_report(merged, {"samples": latent}))["reason"]
    assert "a merge or another node behind that one dropped it" in reason
    assert "put the ASDM node last, right before the sampler" in reason


def test_a_graph_with_two_nodes_tells_both(glue, hosted, shown, monkeypatch):
    ids = iter(["3", "5"])
    monkeypatch.setattr(glue("host.comfy_host"), "executing_node", lambda: next(ids))
    model = hosted.inheriting(hosted.inheriting(interval=3), interval=2)
    hosted.sampled(model, steps=STEPS)
    assert shown[-1][0] == ("3", "5")
