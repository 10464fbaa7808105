"""The node ids and input names are a contract: workflows that people share depend on them."""

import pytest

INHERITANCE = ["level", "sites", "mode", "interval", "full_evaluations", "start_percent", "end_percent", "value",
               "max_age"]
# Optional ones come last, so that the widgets of older workflows keep their places.
LATER = ["threshold", "full_at", "storage", "first_full", "last_full", "speed"]
# By node: required inputs, optional inputs, outputs.
SCHEMAS = {
    "ASDMLoadUNet": (["unet_name", "weight_dtype", "engine"], [], ["MODEL"]),
    "ASDMNativeUNet": (["model", "compute_dtype"], [], ["MODEL"]),
    "ASDMFeatureInheritance": (["model", *INHERITANCE], LATER, ["MODEL"]),
    "ASDMApplyPlan": (["model", "plan"], [], ["MODEL"]),
    "ASDMWrapSampler": (["sampler", "plan", *INHERITANCE], LATER, ["SAMPLER"]),
    "ASDMReport": (["model", "latent"], [], ["LATENT", "STRING", "IMAGE", "STRING"]),
    "ASDMCompareImages": (["reference", "image"], [], ["STRING", "IMAGE"]),
}
CHOICES = {
    ("ASDMLoadUNet", "weight_dtype"): ["default", "fp32", "bf16", "fp16"],
    ("ASDMLoadUNet", "engine"): ["native", "reference"],
    ("ASDMNativeUNet", "compute_dtype"): ["auto", "fp32", "bf16", "fp16"],
}


def choices_of(given):
    """V3 nodes list a combo's choices beside its type, V1 nodes in place of it."""
    kind, options = given
    return options["options"] if kind == "COMBO" else kind


@pytest.mark.parametrize("node_class", SCHEMAS)
def test_node_has_the_inputs_and_outputs_of_the_contract(host, node_class):
    info = host.client.object_info(node_class)
    inputs, optional, outputs = SCHEMAS[node_class]
    assert info, f"the server does not know {node_class}; its log ends:\n{host.server.log()[-2000:]}"
    assert list(info["input"]["required"]) == inputs
    assert list(info["input"].get("optional", {})) == optional
    assert info["output"] == outputs
    assert info["name"] == node_class
    assert info["description"]
    assert info["python_module"] == "custom_nodes.ComfyUI-ASDM"


@pytest.mark.parametrize(("node_class", "name"), CHOICES)
def test_choices(host, node_class, name):
    given = host.client.object_info(node_class)["input"]["required"][name]
    assert choices_of(given) == CHOICES[node_class, name]


@pytest.mark.parametrize("node_class", SCHEMAS)
def test_every_input_has_a_tooltip(host, node_class):
    inputs = host.client.object_info(node_class)["input"]
    for name, given in (inputs["required"] | inputs.get("optional", {})).items():
        assert given[1].get("tooltip"), f"{node_class}.{name} has no tooltip"


def test_loader_offers_the_demo_model(host):
    given = host.client.object_info("ASDMLoadUNet")["input"]["required"]["unet_name"]
    assert "asdm_demo_unet.safetensors" in choices_of(given)
