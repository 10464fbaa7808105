"""The workflows that earlier versions shipped, as the server runs them."""

import json
import math
import re

import numpy as np
import pytest
from comfy_server import REPO
from demo_models import SMALL_UNETS
from graphs import SAMPLING
from image_scores import read_scores

EARLIER = REPO / "workflows" / "earlier"
API = EARLIER / "api"
PICTURE_DEMOS = ["asdm_demo_text_to_image", "asdm_demo_image_to_image"]
REPLAY_DEMO = "asdm_demo_record_and_replay"
CALIBRATE_DEMO = "asdm_demo_calibrate_plan"
SWITCH_DEMO = "asdm_demo_switch_unets"
# dB; 36 were seen, and 8 where the cut UNet makes the whole picture untrained.
MIN_SWITCHED_PSNR = 25
# dB between the pictures that the calibrated plan and the full run give of another prompt.
MIN_CALIBRATED_PSNR = 20
DEMOS = [*PICTURE_DEMOS, REPLAY_DEMO, CALIBRATE_DEMO, SWITCH_DEMO]


def read_prompt(name):
    return json.loads((API / f"{name}.json").read_text())


def only_node(prompt, class_type):
    (node_id,) = [key for key, node in prompt.items() if node["class_type"] == class_type]
    return node_id


@pytest.mark.parametrize("name", PICTURE_DEMOS)
def test_demo_workflow_yields_a_picture_and_a_report(host, name):
    prompt = read_prompt(name)
    run = host.client.run(prompt)
    assert run.status == "success", run.error
    (picture,) = host.pictures(run, only_node(prompt, "SaveImage"))
    assert picture.shape == (128, 128, 3)
    assert picture.std() > 10, "the picture is all but one colour"
    assert "inherited" in run.text(only_node(prompt, "PreviewAny"))


def run_pair(host, prompt, prefixes):
    """Runs a workflow that saves two pictures: (the two, PSNR of one to the other in dB, text of the report)."""
    run = host.client.run(prompt)
    assert run.status == "success", run.error
    by_prefix = {node["inputs"]["filename_prefix"]: node_id for node_id, node in prompt.items()
                 if node["class_type"] == "SaveImage"}
    pictures = [host.pictures(run, by_prefix[f"asdm/{prefix}"])[0] for prefix in prefixes]
    assert all(picture.std() > 10 for picture in pictures), "a picture is all but one colour"
    texts = {prompt[node_id]["inputs"]["source"][0]: run.text(node_id) for node_id, node in prompt.items()
             if node["class_type"] == "PreviewAny"}
    psnr, _ = read_scores(texts[only_node(prompt, "ASDMCompareImages")])
    return pictures, psnr, texts[only_node(prompt, "ASDMReport")]


def test_a_recorded_run_is_replayed_to_the_same_picture(host):
    (recorded, replayed), psnr, report = run_pair(host, read_prompt(REPLAY_DEMO), ("recorded", "replayed"))
    assert np.array_equal(recorded, replayed)
    assert psnr == math.inf
    assert int(re.search(r"(\d+) inherited\)", report)[1]) > 0


def test_a_calibrated_plan_serves_another_prompt(host):
    prompt = read_prompt(CALIBRATE_DEMO)
    (by_plan, exact), psnr, report = run_pair(host, prompt, ("calibrated", "exact"))
    assert not np.array_equal(by_plan, exact)
    assert psnr > MIN_CALIBRATED_PSNR
    assert int(re.search(r"(\d+) inherited\)", report)[1]) > 0
    assert "note" not in report  # the plan's schedule is the run's


@pytest.mark.parametrize("small_unet", [path.name for path in SMALL_UNETS])
def test_two_unets_make_one_picture_close_to_the_full_ones(host, small_unet):
    prompt = read_prompt(SWITCH_DEMO)
    (early,) = [node for node in prompt.values() if node["inputs"].get("unet_name") == SMALL_UNETS[0].name]
    early["inputs"]["unet_name"] = small_unet
    (switched, full), psnr, report = run_pair(host, prompt, ("switched", "full"))
    assert not np.array_equal(switched, full)
    assert psnr > MIN_SWITCHED_PSNR
    assert "UNet 1 of 2 (sd1) made evaluations 0, 1, 2, 3, 4, 5, 6, 7, 8, 9: " in report


def test_swap_in_workflow_uses_known_nodes_and_inputs(host):
    """Its checkpoint is the user's, so it is held against the nodes' schemas instead of being run."""
    for node in read_prompt("asdm_swap_in_sd15").values():
        info = host.client.object_info(node["class_type"])
        assert info, f"unknown node {node['class_type']}"
        known = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        assert set(node["inputs"]) <= set(known)
        assert set(info["input"].get("required", {})) <= set(node["inputs"])


@pytest.mark.parametrize("name", DEMOS)
def test_demo_workflows_sample_as_the_demo_recommends(name):
    in_api = [node["inputs"]["cfg"] for node in read_prompt(name).values() if node["class_type"] == "KSampler"]
    twin = json.loads((EARLIER / f"{name}.json").read_text())
    # The front end keeps values without names: seed, what becomes of it, steps, cfg.
    in_front_end = [node["widgets_values"][3] for node in twin["nodes"] if node["type"] == "KSampler"]
    assert set(in_api) == set(in_front_end) == {SAMPLING["cfg"]}
    assert f"cfg {SAMPLING['cfg']:g} " in (REPO / "demo" / "README.md").read_text()


@pytest.mark.parametrize("file", sorted(path.name for path in API.glob("*.json")))
def test_every_workflow_has_its_twin_for_the_front_end(file):
    twin = EARLIER / file
    api_classes = sorted(node["class_type"] for node in json.loads((API / file).read_text()).values())
    assert sorted(node["type"] for node in json.loads(twin.read_text())["nodes"]) == api_classes
