"""The workflows that the pack ships, as the server runs them: those for public checkpoints on the demo model."""

import json
import re

import numpy as np
import pytest
from comfy_server import REPO
from demo_twin import demo_twin, without_inheritance

EXAMPLES = REPO / "example_workflows"
NAMES = sorted(path.stem for path in (EXAMPLES / "api").glob("*.json"))
# What the issue of a workflow asks for may not go away.
WANTED = ("Speed up SD1.5", "Speed up SDXL", "Image to image", "Inpaint", "ControlNet", "LoRA", "Hires fix",
          "Second pass over a part", "Compare fast and exact", "Find a plan", "Assemble and distil", "SamplerCustom")
STEPS = 8
# Nodes whose work grows with these takes long in a workflow, and shows in a little of it too.
SMALL = {"steps": STEPS, "batch_size": 1}


def prompt_of(name: str) -> dict:
    return json.loads((EXAMPLES / "api" / f"{name}.json").read_text(encoding="utf-8"))


def small_twin(name: str) -> dict:
    return demo_twin(prompt_of(name), **SMALL)


def saving(prompt: dict) -> list[str]:
    return [node_id for node_id, node in prompt.items() if node["class_type"] == "SaveImage"]


def text_of(run, prompt: dict, class_type: str) -> str:
    """What the only node of this class shows."""
    (node_id,) = [node_id for node_id, node in prompt.items() if node["class_type"] == class_type]
    return run.text(node_id)


def test_there_is_one_for_each_that_is_wanted():
    assert set(WANTED) <= set(NAMES)
    assert any(name.startswith("Switch UNets") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_all_its_files(name):
    twin = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    drawn = sorted(node["type"] for node in twin["nodes"] if node["type"] != "MarkdownNote")
    assert drawn == sorted(node["class_type"] for node in prompt_of(name).values())
    assert (EXAMPLES / f"{name}.jpg").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_makes_pictures(host, name):
    prompt = small_twin(name)
    run = host.client.run(prompt)
    assert run.status == "success", run.error
    pictures = [picture for node_id in saving(prompt) for picture in host.pictures(run, node_id)]
    assert pictures
    for picture in pictures:
        assert picture.std() > 10, "the picture is all but one colour"


@pytest.mark.parametrize("name", ["Speed up SD1.5", "Speed up SDXL", "SamplerCustom", "ControlNet", "LoRA", "Inpaint",
                                  "Image to image", "Hires fix", "Second pass over a part"])
def test_what_makes_it_faster_does(host, name):
    """Left out, the picture is another one, but not far from it."""
    prompt = small_twin(name)
    plain = without_inheritance(prompt)
    assert len(plain) == len(prompt) - 1
    faster, exact = (host.pictures(host.client.run(one), saving(one)[0])[0].astype(float) for one in (prompt, plain))
    assert not np.array_equal(faster, exact)
    assert np.abs(faster - exact).mean() < 0.5 * exact.std()


def test_the_comparison_shows_speed_and_distance(host):
    prompt = small_twin("Compare fast and exact")
    run = host.client.run(prompt)
    full, steps = map(int, re.search(r"(\d+) of (\d+) full", text_of(run, prompt, "ASDMReport")).groups())
    assert full < steps
    assert "dB" in text_of(run, prompt, "ASDMCompareImages")


def test_a_recorded_run_is_replayed_to_the_same_picture(host):
    prompt = small_twin("Record and replay a run")
    run = host.client.run(prompt)
    recorded, replayed = (host.pictures(run, node_id)[0] for node_id in saving(prompt))
    assert np.array_equal(recorded, replayed)


@pytest.mark.parametrize("name", NAMES)
def test_its_public_models_can_be_fetched(name):
    """Whatever a workflow loads by name, the front end knows where to get, or the pack ships it."""
    known = json.loads((REPO / "tests" / "browser" / "public_models.json").read_text(encoding="utf-8"))
    for node in prompt_of(name).values():
        for value in node["inputs"].values():
            if isinstance(value, str) and value.endswith(".safetensors"):
                assert value in known or value.startswith("asdm_demo_")
