"""CUDA graphs that outlive a run: what the next one finds, and when they go."""

import gc
import weakref

import pytest
import torch
from captured_calls import SIGMAS, Calls, Places, Repeater, sample

BLOCK = {"level": "block", "mode": "uniform", "interval": 3, "sites": "out.8"}


def end_run(calls, lasting=True):
    calls.graphs.close(lasting)
    calls.next_run()


def test_the_first_call_of_the_next_run_is_a_replay(calls):
    for _ in range(2):
        calls()
    end_run(calls)
    inputs = calls.tiny.inputs(seed=7)
    # the engine itself is not asked
    output = calls.graphs.forward(None, inputs, calls.native.CallFeatures(), calls.weights, room=lambda: True)
    assert torch.equal(output, calls.tiny.call(inputs))
    assert calls.record.captures == 1


def test_a_kind_that_was_met_once_before_is_captured_at_once(calls):
    calls()
    end_run(calls)
    calls()
    assert calls.record.captures == 1


@pytest.mark.parametrize("settings", [
    BLOCK, BLOCK | {"value": "taylor1"}, BLOCK | {"sites": "transformers", "value": "affine"},
    BLOCK | {"sites": "out.8, guidance"}, BLOCK | {"storage": "bf16"}])
def test_runs_that_inherit_share_graphs_and_give_and_book_the_same(calls, settings):
    for _ in range(3):
        calls.expect_the_same(**settings)
        end_run(calls)
    assert calls.record.captures == 2


def test_runs_with_other_settings_are_other_kinds(calls):
    for settings in (BLOCK, BLOCK | {"sites": "out.5"}, BLOCK):
        calls.expect_the_same(**settings)
        end_run(calls)
    assert calls.record.captures == 4


def test_what_is_kept_of_a_layer_makes_a_kind(calls):
    """Its output, or what it adds to its input."""
    def kind(sites):
        run = calls.native.Run(calls.tiny.settings(BLOCK | {"level": "layer", "sites": sites}), SIGMAS, calls.tiny.unet)
        run.begin_evaluation(SIGMAS[0])
        return run.begin_call(["uncond", "cond"], [1, 0], 2).kind

    assert kind("out.8.attn") == kind("out.8.attn") != kind("out.8.attn:output")


@pytest.mark.parametrize("sites", ["guidance", "out.8, guidance"])
def test_cond_and_uncond_in_the_other_order_are_another_kind(calls, sites):
    settings = BLOCK | {"sites": sites, "interval": 2}
    roles = ((1, 0), (0, 1), (0, 1), (1, 0))
    for _ in range(2):
        calls.expect_the_same(roles=roles, **settings)
        end_run(calls)


def test_graphs_hold_no_feature_of_the_run_that_made_them(graphs_module, native):
    kept = []

    class Device(Repeater):  # which keeps no work of the host's
        def __call__(self, work):
            return work(), lambda: None

    def watched(inputs, features):
        output = calls.graphs.forward(calls.tiny.call, inputs, features, calls.weights, room=lambda: True)
        kept.extend(map(weakref.ref, features.kept_values.values()))
        return output

    calls = Calls(graphs_module, native, Device())
    sample(native, watched, calls.tiny, **BLOCK)
    end_run(calls)
    gc.collect()
    assert len(calls.kept) == 2
    assert kept
    assert not any(reference() is not None for reference in kept)


def test_weights_that_lie_elsewhere_in_the_next_run_drop_the_graphs(calls, caplog):
    for _ in range(2):
        calls()
    end_run(calls)
    calls.move_weights("there")
    for _ in range(2):
        calls()
    assert calls.record.captures == 2
    assert not calls.graphs.stopped
    assert not caplog.records


def test_weights_that_are_bound_anew_in_mid_run_where_they_lie_keep_the_graphs(calls):
    """As hooks of a conditioning do, which write into the weights."""
    for _ in range(2):
        calls()
    calls.weights = Places("here")
    calls()
    assert calls.record.captures == 1
    assert not calls.graphs.stopped


@pytest.mark.parametrize(("places", "lasting", "room", "taken"), [
    (None, True, True, 0),  # in pages, which the host takes back
    ("here", False, True, 0),  # nobody tells when the weights go
    ("here", True, False, 0),  # the next run would lack the memory
    ("here", True, True, 1 << 30)])  # the host would count on what torch counts as free
def test_no_graph_lasts(calls, places, lasting, room, taken):
    calls.weights = Places(places)
    for _ in range(2):
        calls()
    calls.record.taken = taken
    calls(room=room)
    end_run(calls, lasting)
    assert len(calls.kept) == 0
    assert calls.record.taken == 0


def test_of_many_kinds_those_go_that_no_run_used_of_late(graphs_module, calls, monkeypatch):
    monkeypatch.setattr(graphs_module, "_MOST_KINDS", 2)
    for height in (8, 16):
        for _ in range(2):
            calls(height=height)
    end_run(calls)
    for _ in range(2):
        calls(height=8)
        calls(height=24)  # takes the place of 16
    assert calls.record.captures == 3
    calls(height=8)
    assert calls.record.captures == 3


def test_other_arithmetic_is_another_kind(calls, monkeypatch):
    for _ in range(2):
        calls()
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark)
    for _ in range(2):
        calls()
    assert calls.record.captures == 2


@pytest.fixture
def loaded(glue, hosted, calls):
    """A MODEL of the pack that the host has loaded, and whose UNet has a graph."""
    import comfy.model_management
    patcher = hosted.exact()
    comfy.model_management.load_models_gpu([patcher])
    glue("host.hosted_unet").hosted_unet(patcher.model).graphs = calls.kept
    for _ in range(2):
        calls()
    yield patcher
    comfy.model_management.unload_all_models()


def test_unloading_by_the_host_drops_the_graphs(loaded, calls, comfy):
    import comfy.model_management
    assert len(calls.kept) == 1
    comfy.model_management.unload_all_models()
    assert len(calls.kept) == 0


def test_graphs_last_where_the_host_will_tell(glue, hosted, loaded):
    drops_graphs = glue("host.hosted_unet").drops_graphs
    assert drops_graphs(loaded)
    assert drops_graphs(loaded.clone())
    assert not drops_graphs(hosted.patcher)
    assert not drops_graphs(None)
