"""The server offers the nodes as their schemas say (that these keep the contract of the first version is in
tests/glue/test_upgrade.py)."""

import pytest
from node_schemas import read_schemas

SCHEMAS = {schema["id"]: schema for schema in read_schemas()}
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
def test_node_has_the_inputs_and_outputs_of_its_schema(host, node_class):
    info = host.client.object_info(node_class)
    assert info, f"the server does not know {node_class}; its log ends:\n{host.server.log()[-2000:]}"
    for kind, optional in (("required", False), ("optional", True)):
        names = [given["name"] for given in SCHEMAS[node_class]["inputs"] if given.get("optional", False) == optional]
        assert list(info["input"].get(kind, {})) == names
    assert info["output"] == [given["kind"] for given in SCHEMAS[node_class]["outputs"]]
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
