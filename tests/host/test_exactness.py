"""With nothing inherited the pack computes what the host computes, and it leaves nothing behind."""

import pytest
import torch
from closeness import MAX_RELATIVE_ERROR, relative_error
from graphs import Graph
from tiny_models import STOCK_UNET


def demo_latent(host, engine, **inheritance):
    graph = Graph()
    model = graph.load_unet(engine, weight_dtype="fp32")
    if inheritance:
        model = graph.inherit(model, **inheritance)
    return host.sample(graph, graph.sample_text(model))


def stock_latent(host, native, text="taco"):
    graph = Graph()
    model = graph.add("UNETLoader", unet_name=STOCK_UNET, weight_dtype="default")
    if native:
        model = graph.add("ASDMNativeUNet", model=model, compute_dtype="auto")
    return host.sample(graph, graph.sample_text(model, text, steps=3))


@pytest.fixture(scope="module")
def reference(host):
    return demo_latent(host, "reference")


@pytest.fixture(scope="module")
def native(host):
    return demo_latent(host, "native")


def test_reference_engine_samples_something(reference):
    assert reference.isfinite().all()
    assert reference.std() > 0.05


def test_native_engine_agrees_with_the_reference(reference, native):
    assert relative_error(reference, native) < MAX_RELATIVE_ERROR


def test_native_engine_agrees_with_the_host_on_a_stock_model(host):
    stock = stock_latent(host, native=False)
    assert relative_error(stock, stock_latent(host, native=True)) < MAX_RELATIVE_ERROR


def test_stock_model_is_untouched_after_the_native_engine_ran(host):
    before = stock_latent(host, native=False)
    stock_latent(host, native=True)
    assert torch.equal(before, stock_latent(host, native=False))


def test_demo_model_is_untouched_after_native_engine_and_inheritance_ran(host):
    before = demo_latent(host, "reference")
    demo_latent(host, "native")
    demo_latent(host, "native", interval=3)
    assert torch.equal(before, demo_latent(host, "reference"))


def test_interval_one_inherits_nothing(host, native):
    assert torch.equal(native, demo_latent(host, "native", interval=1))


def test_window_says_where_features_are_inherited(host, native):
    late = demo_latent(host, "native", interval=3, start_percent=0.5)
    assert not torch.equal(native, late)
    assert not torch.equal(demo_latent(host, "native", interval=3), late)


def test_window_of_one_evaluation_is_exact(host, native):
    """The first evaluation of a window is full, and this window holds the last of the run alone."""
    assert torch.equal(native, demo_latent(host, "native", interval=3, start_percent=0.9))


def test_inheritance_is_reproducible(host):
    first = demo_latent(host, "native", interval=3)
    demo_latent(host, "native", interval=2)
    assert torch.equal(first, demo_latent(host, "native", interval=3))
