"""What ASDMFeatureInheritance offers is what the engine knows, and what it says of when an input counts is true."""

import json
import re

import pytest
from repository import REPO

PAGE = REPO / "web" / "docs" / "ASDMFeatureInheritance.md"
# Modes in which `interval` is the first of gaps that widen.
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


def read_in(given) -> set:
    """The modes in which an input of the node counts, as its schema says."""
    return set(given["used_when"][0]["mode"])


# Two settings of each input with which a mode that reads it plans another run.
OTHER = {"interval": (2, 4), "full_evaluations": (3, 5), "threshold": (0.01, 5.0), "full_at": ("0, 4", "0, 6")}


def plan(hosted, mode, **changes):
    """The sites of each evaluation."""
    asked = {"interval": 3, "full_at": "0, 4", "threshold": 0.3} | changes
    _, report = hosted.sampled(hosted.inheriting(mode=mode, **asked), steps=STEPS)
    return [entry["sites"] for entry in json.loads(report["plan"])["evaluations"]]


@pytest.mark.parametrize("name", OTHER)
def test_a_mode_reads_what_the_schema_says(hosted, inputs, name):
    """What is greyed in the front end changes nothing, and what is not does."""
    plans = {mode: [plan(hosted, mode, **{name: value}) for value in OTHER[name]] for mode in inputs["mode"]["choices"]}
    assert {mode for mode, (one, other) in plans.items() if one != other} == read_in(inputs[name])


def test_beside_a_count_the_interval_is_read_where_the_schema_says(hosted, inputs):
    modes = read_in(inputs["interval"])
    plans = {mode: [plan(hosted, mode, interval=interval, full_evaluations=4) for interval in (1, 2)] for mode in modes}
    beside = inputs["interval"]["used_when"][1]
    assert beside["full_evaluations"] == ["0"]
    assert {mode for mode, (one, other) in plans.items() if one != other} == set(beside["mode"]) == FIRST_GAP


def test_interval_1_inherits_nothing_but_where_it_is_not_what_counts(hosted, inputs):
    modes = inputs["mode"]["choices"]
    plans = {mode: plan(hosted, mode, interval=1) for mode in modes}
    assert {mode for mode in modes if any(plans[mode])} == set(modes) - read_in(inputs["interval"]) | FIRST_GAP
    for mode in FIRST_GAP:
        assert not plans[mode][1], "the first gap is 1"


def test_the_page_names_the_modes_in_which_interval_1_inherits(inputs):
    (paragraph,) = [part for part in PAGE.read_text(encoding="utf-8").split("\n\n")
                    if part.startswith("**Interval 1.**")]
    assert set(re.findall(r"`(\w+)`", paragraph)) == (
        set(inputs["mode"]["choices"]) - read_in(inputs["interval"]) | FIRST_GAP | {"interval"})
