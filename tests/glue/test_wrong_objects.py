"""Objects of the graph that are not what an input takes, and faults inside of nodes: both name the node."""

import re

import pytest
import torch
from hosted_model import SIZE

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


def test_a_family_that_its_tensors_contradict_is_refused(glue, hosted):
    spec = glue("host.unet_config").describe(hosted.patcher.model)["spec"].replace(family="sd2")
    with pytest.raises(ValueError, match="file.safetensors: expected the family sd1, .* 768 .* got sd2"):
        glue("host.unet_config").check_family("file.safetensors", spec)
