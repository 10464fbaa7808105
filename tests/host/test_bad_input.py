"""Bad input ends in an error at its node that names cause and choices, and the server goes on."""

import pytest
from comfy_client import PromptRefused
from graphs import Graph
from tiny_models import BROKEN, DIT, NO_MODEL, STOCK_UNET


@pytest.fixture(autouse=True)
def server_goes_on(host):
    """After each test a sound prompt must still run."""
    yield
    graph = Graph()
    graph.decode(graph.sample_text(graph.load_unet(), steps=2), graph.load_vae())
    graph.save_image([list(graph.prompt)[-1], 0], "still_alive")
    assert host.client.run(graph.prompt).status == "success"


def failing_load(host, unet_name):
    graph = Graph()
    graph.save_latent(graph.sample_text(graph.load_unet(unet_name=unet_name), steps=2))
    return host.complaint(graph, "ASDMLoadUNet")


def inheritance(**changes):
    graph = Graph()
    graph.save_latent(graph.sample_text(graph.inherit(graph.load_unet(), **changes), steps=2))
    return graph


def failing_inheritance(host, **changes):
    return host.complaint(inheritance(**changes), "ASDMFeatureInheritance")


def failing_native(host, unet_name):
    graph = Graph()
    model = graph.add("UNETLoader", unet_name=unet_name, weight_dtype="default")
    native = graph.add("ASDMNativeUNet", model=model, compute_dtype="auto")
    graph.save_latent(graph.sample_text(native, steps=2))
    return host.complaint(graph, "ASDMNativeUNet")


@pytest.mark.parametrize("file", [NO_MODEL, STOCK_UNET])
def test_a_file_without_a_known_unet_is_refused_with_its_name(host, file):
    message = failing_load(host, file)
    assert file in message
    assert "UNet" in message


def test_broken_file_is_named(host):
    assert BROKEN in failing_load(host, BROKEN)


def test_unknown_file_lists_the_known_ones(host):
    message = failing_load(host, "not_there.safetensors")
    assert "not_there.safetensors" in message
    assert "asdm_demo_unet.safetensors" in message


def test_transformer_model_is_refused(host):
    message = failing_native(host, DIT)
    assert "OpenAISignatureMMDITWrapper" in message
    for known in ("SD1", "SD2", "SDXL"):
        assert known in message.upper()


def test_unknown_site_lists_the_known_ones(host):
    message = failing_inheritance(host, sites="out.99")
    assert "out.99" in message
    assert "out.1" in message


def test_empty_window_is_refused(host):
    assert "start_percent" in failing_inheritance(host, start_percent=0.8, end_percent=0.2)


def test_unknown_mode_lists_the_known_ones(host):
    message = failing_inheritance(host, mode="sometimes")
    assert "sometimes" in message
    assert "uniform" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("interval", 0), ("full_evaluations", -1), ("start_percent", 1.5), ("max_age", -1)],
)
def test_value_out_of_range_is_refused_before_anything_runs(host, name, value):
    graph = inheritance(**{name: value})
    with pytest.raises(PromptRefused) as refusal:
        host.client.run(graph.prompt)
    (node_id,) = [key for key, node in graph.prompt.items() if node["class_type"] == "ASDMFeatureInheritance"]
    # The host blames each input that a check of the node looked at, for what is wrong with one of them.
    (message,) = [text for text in refusal.value.messages(node_id) if f": {name}" in text]
    assert name in message


@pytest.mark.parametrize(("changes", "name", "said"), [
    ({"start_percent": 0.8, "end_percent": 0.2}, "end_percent", "above start_percent (0.8), got 0.2"),
    ({"sites": "out8"}, "sites", "did you mean 'out.8'?"),
    ({"mode": "explicit", "full_at": "0; 4"}, "full_at", "evaluations such as '0, 3, 6'"),
])
def test_what_needs_no_model_is_refused_before_anything_runs(host, changes, name, said):
    graph = inheritance(**changes)
    with pytest.raises(PromptRefused) as refusal:
        host.client.run(graph.prompt)
    (node_id,) = [key for key, node in graph.prompt.items() if node["class_type"] == "ASDMFeatureInheritance"]
    (message,) = [text for text in refusal.value.messages(node_id) if f": {name} - " in text]
    assert f"ASDMFeatureInheritance.{name}: " in message
    assert said in message


def test_a_plan_that_cannot_be_read_is_refused_before_anything_runs(host):
    graph = Graph()
    planned = graph.add("ASDMApplyPlan", model=graph.load_unet(), plan="{")
    graph.save_latent(graph.sample_text(planned, steps=2))
    with pytest.raises(PromptRefused) as refusal:
        host.client.run(graph.prompt)
    (message,) = refusal.value.messages(planned[0])
    assert "ASDMApplyPlan.plan: expected the JSON of a plan" in message
