"""What the plan editor is answered: a grid that says what a run by the plan does, and costs."""

import json
import re

import pytest
from hosted_model import SIZE, HostedModel, actions

STEPS = 5
NODE = "3"


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture
def editor(glue):
    module = glue("host.plan_editor")
    module._last_runs.clear()
    return module


def plan_of(native, hosted, sites):
    sigmas = [float(sigma) for sigma in hosted.sigmas(len(sites))[:-1]]
    return native.Plan(family="sd1", steps=len(sites), evaluations=list(zip(sigmas, sites, strict=True))).json()


@pytest.mark.parametrize("sites", [
    [[], ["out.8"], ["out.3"], [], ["out.10", "in.1"]],
    [["out.8"], ["out.8"], ["out"], ["mid", "out.5"], []],  # the first has nothing to reuse
    [[], ["guidance"], ["out.8", "guidance"], ["out.6"], ["guidance"]],
    [[], ["in.4.attn", "in.1.attn.0.ff"], ["in.4.attn", "out.2"], ["out.9.res"], ["out.1*", "control"]],
    [[], ["out.8"], ["in.1*"], ["in.11"], ["out.0"]],
])
def test_the_grid_says_what_the_run_does_and_counts_what_its_report_counts(native, hosted, editor, monkeypatch, glue,
                                                                           sites):
    monkeypatch.setattr(glue("host.comfy_host"), "executing_node", lambda: f"7:{NODE}")
    text = plan_of(native, hosted, sites)
    _, report = hosted.sampled(hosted.following(text), steps=len(sites))
    answer = editor.answer({"plan": text, "node": NODE})
    assert answer["counted_on"] == {"family": "sd1", "width": SIZE * 8, "height": SIZE * 8, "is_last_run": True}
    grid = answer["grid"]
    assert grid["share"] == pytest.approx(report["mac_share"], rel=1e-9)
    for row, (address, _) in enumerate((row["address"], row["site"]) for row in grid["rows"]):
        done = actions(report, address).replace("f", "i")
        shown = "".join(column["actions"][row] for column in grid["columns"]).replace("p", "c")
        if address == "out.11":  # where the whole UNet is inherited, its last block is not asked
            shown = "".join("-" if "out" in column["sites"] else letter
                            for letter, column in zip(shown, grid["columns"], strict=True))
        assert shown == done, address
    assert [column["is_refreshed"] for column in grid["columns"]] == [
        bool(asked) and not plan["sites"]
        for asked, plan in zip(sites, json.loads(report["plan"])["evaluations"], strict=True)]


def test_without_a_run_the_published_unet_counts(editor):
    for family, side in (("sd1", 512), ("sd2", 768), ("sdxl", 1024), ("sdxl_refiner", 1024)):
        answer = editor.answer({"begin": {"family": family, "steps": 6}, "node": NODE})
        assert answer["counted_on"] == {"family": family, "width": side, "height": side, "is_last_run": False}
        assert 0.3 < answer["grid"]["share"] < 0.9
        assert not json.loads(answer["plan"])["evaluations"][0]["sites"]
        assert editor.answer({"plan": answer["plan"]}) == answer


def test_a_cell_is_painted_in_the_text(editor):
    begun = editor.answer({"begin": {"family": "sd1", "steps": 2}})["plan"]
    painted = editor.answer({"plan": begun, "paint": {"evaluation": 1, "site": "out.10", "inherits": True}})
    assert json.loads(painted["plan"])["evaluations"][1]["sites"] == ["out.10"]
    assert painted["grid"]["columns"][1]["sites"] == ["out.10"]
    away = editor.answer({"plan": painted["plan"], "paint": {"evaluation": 1, "site": "out.10", "inherits": False}})
    assert away["grid"]["share"] == 1.0


def test_a_begun_plan_says_nothing_of_sigmas_in_a_report(hosted, editor):
    begun = editor.answer({"begin": {"family": "sd1", "steps": STEPS}})["plan"]
    _, report = hosted.sampled(hosted.following(begun), steps=STEPS)
    assert report["notes"] == []
    assert report["inherited"] > 0


@pytest.mark.parametrize(("asked", "said"), [
    ({}, "plan: "), ({"plan": "{"}, "plan: "), ({"plan": None}, "."), ({"plan": '{"nodes": []}'}, "plan.format"),
    ({"begin": {"family": "flux", "steps": 4}}, "family: expected one of: sd1, "),
    ({"begin": {"family": "sd1", "steps": 0}}, "steps: expected"),
    ({"begin": {"family": "sd1", "steps": 2.5}}, "steps: expected"), ({"begin": {"steps": 10**9}}, "family: "),
    ({"begin": {"family": "sd1", "steps": 2}, "paint": {"evaluation": 9, "site": "out.8", "inherits": True}},
     r"plan.evaluations\[9\]"),
    ({"begin": {"family": "sd1", "steps": 2}, "paint": {"evaluation": -1, "site": "out.8", "inherits": True}}, "."),
    ({"begin": {"family": "sd1", "steps": 2}, "paint": {"evaluation": 1}}, "."),
])
def test_what_cannot_be_is_answered_in_a_sentence(editor, asked, said):
    answer = editor.answer(asked)
    assert list(answer) == ["error"]
    assert re.match(said, answer["error"]), answer
