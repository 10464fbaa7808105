"""What ASDMFeatureInheritance offers is what the engine knows, and what it says of `interval` is true."""

import json
import re

import pytest
from repository import REPO

PAGE = REPO / "web" / "docs" / "ASDMFeatureInheritance.md"
# Modes that take nothing from `interval`, and modes in which it is the first of gaps that widen.
WITHOUT_INTERVAL = {"front", "triangular", "explicit", "adaptive", "easycache"}
FIRST_GAP = {"growing", "growing_published"}
STEPS = 10


@pytest.fixture(scope="module")
def inputs(native):
    """Of the node, by name."""
    (schema,) = [node for node in json.loads(native.schemas_json())["nodes"] if node["id"] == "ASDMFeatureInheritance"]
    return {given["name"]: given for given in schema["inputs"]}


@pytest.mark.parametrize("name", ["level", "mode", "value", "storage"])
def test_the_choices_are_the_names_that_the_engine_knows(native, inputs, name):
    settings = {"level": "block", "sites": "auto", "mode": "uniform", "interval": 2} | {name: "?"}
    with pytest.raises(ValueError, match="one of: ") as refused:
        native.InheritanceSettings(native.UNet(native.preset_spec("sd15", 32)), native.InheritanceRequest(**settings))
    listed = re.search(r"one of: (.*), got", str(refused.value))[1]
    assert re.findall(r"\w+", listed) == inputs[name]["choices"]


def plan(hosted, mode, interval):
    """The sites of each evaluation."""
    model = hosted.inheriting(mode=mode, interval=interval, full_at="0, 4", threshold=0.3)
    _, report = hosted.sampled(model, steps=STEPS)
    return [entry["sites"] for entry in json.loads(report["plan"])["evaluations"]]


def test_what_interval_means_in_each_mode(hosted, inputs):
    plans = {mode: [plan(hosted, mode, interval) for interval in (1, 3)] for mode in inputs["mode"]["choices"]}
    assert {mode for mode, (one, _) in plans.items() if any(one)} == WITHOUT_INTERVAL | FIRST_GAP
    assert {mode for mode, (one, three) in plans.items() if one == three} == WITHOUT_INTERVAL
    for mode in FIRST_GAP:
        assert not plans[mode][0][1], "the first gap is 1"


def test_the_page_names_the_modes_in_which_interval_1_inherits():
    (paragraph,) = [part for part in PAGE.read_text(encoding="utf-8").split("\n\n")
                    if part.startswith("**Interval 1.**")]
    assert set(re.findall(r"`(\w+)`", paragraph)) == WITHOUT_INTERVAL | FIRST_GAP | {"interval"}
