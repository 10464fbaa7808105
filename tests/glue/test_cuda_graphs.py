"""CUDA graphs of forward calls: which calls are captured and when, and what goes in and out, in one run.

Without a GPU the engine's work is captured by `Repeater`, which keeps to a graph's terms; with one, by CUDA.
"""

import logging
from types import SimpleNamespace

import pytest
import torch
from captured_calls import SIGMAS, Calls, Refuser
from tiny_unet import NoHooks, TinyUNet

SETTINGS = {"level": "block", "mode": "uniform", "interval": 3}


def test_the_second_call_of_a_kind_is_captured_and_later_ones_follow_their_inputs(calls):
    outputs = [calls(seed=seed) for seed in range(5)]
    assert calls.record.captures == 1
    assert not torch.equal(outputs[3], outputs[4])


def test_an_output_outlives_the_next_call(calls):
    outputs = [calls(seed=seed) for seed in range(4)]
    kept = outputs[2].clone()
    calls(seed=9)
    assert torch.equal(outputs[2], kept)


@pytest.mark.parametrize("other", [{"height": 16}, {"width": 16}, {"batch": 2}, {"tokens": 7}])
def test_another_shape_is_another_kind(calls, other):
    for _ in range(2):
        calls()
        calls(**other)
    assert calls.record.captures == 2


def test_a_call_that_keeps_features_is_another_kind(calls, native):
    run = native.Run(calls.tiny.settings(SETTINGS | {"sites": "in.8"}), SIGMAS, calls.tiny.unet)
    run.begin_evaluation(SIGMAS[0])
    for _ in range(2):
        calls()
        calls(features=run.begin_call(["cond"]))
    assert calls.record.captures == 2


@pytest.mark.parametrize(("changes", "captures", "inherited"), [
    ({}, 2, 5), ({"value": "taylor1"}, 2, 5), ({"sites": "transformers", "value": "affine"}, 2, 5),
    ({"sites": "out"}, 2, 5), ({"sites": "out.8, guidance", "value": "taylor2"}, 2, 5), ({"storage": "bf16"}, 2, 5),
    # Calls that choose their cut by values are not captured.
    ({"sites": "auto", "mode": "adaptive", "threshold": 10.0}, 0, 7),
])
def test_an_inheriting_run_gives_and_books_the_same(calls, changes, captures, inherited):
    record = calls.expect_the_same(**SETTINGS | {"sites": "out.8"} | changes)
    assert calls.record.captures == captures
    assert record["inherited"] == inherited


def test_other_weights_drop_the_graphs_for_the_rest_of_the_run(calls, caplog):
    for _ in range(3):
        calls()
    calls.move_weights("there")
    for _ in range(3):
        calls()
    assert calls.record.captures == 1
    assert "changed weights" in calls.graphs.stopped
    assert len(caplog.records) == 1


def test_other_weights_before_a_capture_start_the_count_anew(calls):
    calls()
    calls.move_weights("there")
    calls()
    assert calls.record.captures == 0
    calls()
    assert calls.record.captures == 1
    assert not calls.graphs.stopped


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), RuntimeError("not permitted")])
def test_a_failed_capture_is_logged_once_and_the_run_goes_on_without(graphs_module, native, caplog, error):
    calls = Calls(graphs_module, native, Refuser(error))
    with caplog.at_level(logging.WARNING, "asdm"):
        for _ in range(4):
            calls()
            calls(batch=2)
    assert calls.record.tries == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"the rest of this run goes without CUDA graphs: {error}"]


def test_too_little_memory_for_a_capture_ends_the_graphs_of_a_run(calls):
    for _ in range(2):
        calls()
        calls(batch=2, room=False)
    assert calls.record.captures == 1
    calls()
    assert calls.graphs.stopped == "too little free memory"


def test_an_interrupt_inside_a_capture_passes_through(graphs_module, native):
    class Interrupt(Exception):
        pass

    calls = Calls(graphs_module, native, Refuser(Interrupt()))
    calls()
    with pytest.raises(Interrupt):
        calls()


def test_kinds_beyond_the_limit_run_as_ever(graphs_module, calls, monkeypatch):
    monkeypatch.setattr(graphs_module, "_MOST_KINDS", 1)
    for _ in range(3):
        calls()
        calls(batch=2)
    assert calls.record.captures == 1


@pytest.fixture
def cuda_graphs(glue):
    return glue("host.cuda_graphs")


class Binding(SimpleNamespace):
    """A UNet whose weights lie where they lie, and of which the host runs nothing."""

    def __init__(self, all_resident=True, host=None):
        super().__init__(all_resident=all_resident, host=host)


class Watching(NoHooks):
    follows_blocks = True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"control": {"input": []}}, "control"),
        ({"hooks": Watching()}, "hooks"),
        ({"profile": object()}, "a profile watches"),
        ({"binding": Binding(all_resident=False)}, "weights are offloaded, or patched at the time of use"),
        ({"binding": Binding(host=object())}, "parts run in the host's own modules"),
        ({}, "not on a CUDA device"),
    ],
)
def test_obstacles(cuda_graphs, native, change, reason):
    call = {"control": None, "hooks": NoHooks(), "profile": None, "binding": Binding()} | change
    assert cuda_graphs.obstacle(inputs=TinyUNet(native).inputs(), **call) == reason


class Model:
    """What the host says of a model."""

    def __init__(self, call_bytes):
        self._call_bytes = call_bytes

    def memory_required(self, input_shape):
        assert input_shape == [1, 4, 8, 8]
        return self._call_bytes


def test_room_is_several_calls_worth_of_what_the_host_counts_as_free(cuda_graphs, comfy):
    import comfy.model_management
    x = torch.zeros(1, 4, 8, 8)
    free = comfy.model_management.get_free_memory(x.device)
    assert cuda_graphs.has_room(SimpleNamespace(model=Model(free / 10)), x)
    assert not cuda_graphs.has_room(SimpleNamespace(model=Model(free)), x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_cuda_replays_what_the_engine_computes(graphs_module, cuda_graphs, native, dtype):
    tiny = TinyUNet(native, torch.device("cuda", torch.cuda.current_device()), dtype)
    assert cuda_graphs.obstacle(tiny.inputs(), None, NoHooks(), None, Binding()) == ""
    calls = Calls(graphs_module, native, None, tiny)
    for _ in range(2):  # the second run finds the graphs of the first
        plain, plain_record, replayed, record = calls.plain_and_replayed(**SETTINGS, sites="out.8")
        assert not calls.graphs.stopped
        assert record == plain_record
        for value, reference in zip(replayed, plain, strict=True):
            assert (value - reference).norm() <= 1e-3 * reference.norm()
        calls.next_run()
