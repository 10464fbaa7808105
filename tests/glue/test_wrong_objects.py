"""Objects of the graph that are not what an input takes, and faults inside of nodes: both name the node."""

import re

import pytest
import torch
from hosted_model import SIZE
from safetensors.torch import save_file

NO_PICTURE = {"samples": torch.zeros(0, 4, SIZE, SIZE)}


@pytest.mark.parametrize(("node", "name", "value", "message"), [
    ("ASDMReport", "latent", 3, "expected a LATENT of at least one picture, got int"),
    ("ASDMReport", "latent", {}, "expected a LATENT of at least one picture, got dict"),
    ("ASDMReport", "latent", NO_PICTURE, "expected a LATENT of at least one picture, got dict"),
    ("ASDMReport", "model", [1], "expected a MODEL, got list"),
    ("ASDMNativeUNet", "model", {}, "expected a MODEL, got dict"),
    ("ASDMSwitchUNets", "early_model", "text", "expected a MODEL, got str"),
    ("ASDMAssembleUNet", "latent", 5, "expected a LATENT of at least one picture, got int"),
    ("ASDMAssembleUNet", "calibrate", [], "expected a CONDITIONING of at least one text, got list"),
    ("ASDMWrapSampler", "sampler", 0.5, "expected a SAMPLER, got float"),
    ("ASDMCompareImages", "image", torch.zeros(0, 8, 8, 3), "expected an IMAGE of at least one picture, got Tensor"),
    ("ASDMDistillUNet", "latents", 3, "expected a LATENT of at least one picture, got int"),
])
def test_an_object_of_another_kind_is_refused_by_its_input(hosted, native, node, name, value, message):
    with pytest.raises(ValueError, match=re.escape(f"{node}.{name}: {message}")):
        native.execute(node, hosted.host, {name: value})


@pytest.mark.parametrize("inputs", [
    {"preset": "none", "remove": "in.99"}, {"preset": "none", "remove": "in.2"}, {"preset": "ssd_1b", "remove": ""}])
def test_a_fault_inside_of_a_node_names_it(hosted, native, inputs):
    with pytest.raises(ValueError, match=r"^ASDMAssembleUNet\."):
        native.execute("ASDMAssembleUNet", hosted.host, {"model": hosted.patcher, **inputs})


def test_a_fault_of_the_host_inside_of_a_node_names_it(hosted, native, monkeypatch):
    def faulty(*_):
        raise ValueError("the work: expected more")
    monkeypatch.setattr(hosted.host, "describe_model", faulty, raising=False)
    with pytest.raises(ValueError, match="^ASDMNativeUNet: the work: expected more$"):
        native.execute("ASDMNativeUNet", hosted.host, {"model": hosted.patcher, "compute_dtype": "auto"})


@pytest.mark.parametrize(("name", "value", "message"), [
    ("latent", {"samples": torch.zeros(1, 9, 8, 8)}, "a LATENT [batch, 4, height, width], got [1, 9, 8, 8]"),
    ("latent", {"samples": torch.zeros(1, 4, 8)}, "a LATENT [batch, 4, height, width], got [1, 4, 8]"),
    ("latent", {"samples": torch.zeros(1, 4, 1, 8, 8)}, "a LATENT [batch, 4, height, width], got [1, 4, 1, 8, 8]"),
    ("latent", {"samples": torch.zeros(1, 4, 0, 8)}, "a LATENT [batch, 4, height, width], got [1, 4, 0, 8]"),
    ("text", [[torch.zeros(1, 77, 5), {}]], "text features [batch, tokens, 768], got [1, 77, 5]"),
    ("text", [[torch.zeros(77, 768), {}]], "text features [batch, tokens, 768], got [77, 768]"),
    ("text", [[None, {}]], "text features [batch, tokens, 768], got NoneType"),
])
@pytest.mark.parametrize("node", ["ASDMAssembleUNet", "ASDMDistillUNet"])
def test_pictures_and_texts_of_another_model_are_refused_by_their_input(hosted, native, node, name, value, message):
    given = {"latent": {"samples": torch.zeros(1, 4, SIZE, SIZE)}, "text": hosted.cond(1)} | {name: value}
    if node == "ASDMAssembleUNet":
        names = {"latent": "latent", "text": "calibrate"}
        inputs = {"model": hosted.patcher, "preset": "s0", "calibrate": given["text"], "latent": given["latent"]}
    else:
        names = {"latent": "latents", "text": "positive"}
        inputs = {"teacher": hosted.patcher, "student": hosted.patcher, "positive": given["text"],
                  "latents": given["latent"]}
    with pytest.raises(ValueError, match=re.escape(f"{node}.{names[name]}: expected {message}")):
        native.execute(node, hosted.host, inputs)


def test_a_run_on_no_picture_says_so(hosted):
    with pytest.raises(ValueError, match="expected a latent of at least one picture, got none"):
        hosted.sample(hosted.inheriting(), latent=NO_PICTURE["samples"], steps=2)


def test_calibrating_asks_for_interrupts(hosted, native, monkeypatch):
    """Between the batches of each cut, when no sampler asks any more."""
    from comfy import model_management
    cuts_of = native.cuts_of

    def interrupted(*given):
        model_management.interrupt_current_processing()
        return cuts_of(*given)
    monkeypatch.setattr(native, "cuts_of", interrupted)
    with pytest.raises(model_management.InterruptProcessingException):
        native.execute("ASDMAssembleUNet", hosted.host, {
            "model": hosted.patcher, "preset": "s0_s1", "calibrate": hosted.cond(1),
            "latent": {"samples": torch.zeros(1, 4, SIZE, SIZE)}})


@pytest.mark.parametrize("family", ["sd2", "sdxl", "sdxl_refiner"])
def test_a_family_that_its_tensors_contradict_is_refused(glue, hosted, native, tmp_path, family):
    spec = glue("host.unet_config").describe(hosted.patcher.model)["spec"].replace(family=family)
    path = tmp_path / "file.safetensors"
    save_file(hosted.patcher.model.diffusion_model.state_dict(), path, {native.SPEC_METADATA_KEY: spec.json()})
    with pytest.raises(ValueError, match=rf"file.safetensors: expected the family sd1, .* 768 .* got {family}"):
        hosted.load_file(path)
