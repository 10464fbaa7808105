"""CUDA graphs of forward calls: which calls are captured and when, what goes in and out, and when graphs are dropped.

Without a GPU the engine's work is captured by `Repeater`, which keeps to a graph's terms; with one, by CUDA.
"""

import logging
from types import SimpleNamespace

import pytest
import torch
from tiny_unet import NoHooks, TinyUNet

SETTINGS = {"level": "block", "mode": "uniform", "interval": 3}
SIGMAS = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


class Repeater:
    """Does work again on the memory of its first time, which it leaves without values, as a capture does."""

    def __init__(self):
        self.captures = 0

    def __call__(self, work):
        self.captures += 1
        given = work()
        output, kept, _ = given
        for tensor in (output, *kept.values()):
            tensor.fill_(float("nan"))

        def replay():
            output_again, kept_again, _ = work()
            output.copy_(output_again)
            for node, value in kept_again.items():
                kept[node].copy_(value)

        return given, replay


class Refuser:
    """A device that cannot capture."""

    def __init__(self, error):
        self._error = error
        self.tries = 0

    def __call__(self, work):
        self.tries += 1
        raise self._error


@pytest.fixture
def graphs_module(glue):
    return glue("host.cuda_graphs")


class Calls:
    """Calls of a tiny UNet through the graphs of a run."""

    def __init__(self, graphs_module, native, record):
        self.tiny = TinyUNet(native)
        self.record = record
        self.graphs = graphs_module.RunGraphs(record)
        self._native = native

    def __call__(self, room=True, features=None, **inputs):
        features = features or self._native.CallFeatures()
        inputs = self.tiny.inputs(**inputs)
        output = self.graphs.forward(self.tiny.call, inputs, features, self.tiny.weights, room=lambda: room)
        assert torch.equal(output, self.tiny.call(inputs))
        return output


@pytest.fixture
def calls(graphs_module, native):
    return Calls(graphs_module, native, Repeater())


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


def sample(native, forward, tiny, sites="out.8", **changes):
    """Outputs of an inheriting run whose calls are `forward(inputs, features)`, and the run's record."""
    run = native.Run(tiny.settings(SETTINGS | {"sites": sites} | changes), SIGMAS, tiny.unet)
    outputs = []
    for index, sigma in enumerate(SIGMAS[:-1]):
        run.begin_evaluation(sigma)
        inputs = tiny.inputs(batch=2, seed=index)
        features = run.begin_call(["uncond", "cond"], [1, 0], 2)
        outputs.append(forward(inputs, features))
        run.end_call(features, outputs[-1])
    return outputs, run.record


def plain_and_replayed(native, tiny, graphs, **changes):
    """Outputs and record of the same inheriting run, without graphs and with them."""
    replayed = sample(native, lambda inputs, features: graphs.forward(
        tiny.call, inputs, features, tiny.weights, room=lambda: True), tiny, **changes)
    return *sample(native, tiny.call, tiny, **changes), *replayed


@pytest.mark.parametrize(("changes", "captures", "inherited"), [
    ({}, 2, 5), ({"value": "taylor1"}, 2, 5), ({"sites": "transformers", "value": "affine"}, 2, 5),
    ({"sites": "out"}, 2, 5), ({"sites": "out.8, guidance", "value": "taylor2"}, 2, 5), ({"storage": "bf16"}, 2, 5),
    # Calls that choose their cut by values are not captured.
    ({"sites": "auto", "mode": "adaptive", "threshold": 10.0}, 0, 7),
])
def test_an_inheriting_run_gives_and_books_the_same(calls, native, changes, captures, inherited):
    plain, plain_record, replayed, record = plain_and_replayed(native, calls.tiny, calls.graphs, **changes)
    assert calls.record.captures == captures
    assert all(torch.equal(a, b) for a, b in zip(replayed, plain, strict=True))
    assert record == plain_record
    assert record["inherited"] == inherited


def test_other_weights_drop_the_graphs_for_the_rest_of_the_run(calls, caplog):
    for _ in range(3):
        calls()
    calls.tiny.weights = calls.tiny.make_weights()
    for _ in range(3):
        calls()
    assert calls.record.captures == 1
    assert "changed weights" in calls.graphs.stopped
    assert len(caplog.records) == 1


def test_other_weights_before_a_capture_start_the_count_anew(calls):
    calls()
    calls.tiny.weights = calls.tiny.make_weights()
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


def test_a_closed_run_holds_no_graph(calls):
    for _ in range(2):
        calls()
    calls.graphs.close()
    calls()
    assert calls.record.captures == 1


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
def test_obstacles(graphs_module, native, change, reason):
    call = {"control": None, "hooks": NoHooks(), "profile": None, "binding": Binding()} | change
    assert graphs_module.obstacle(inputs=TinyUNet(native).inputs(), **call) == reason


class Model:
    """What the host says of a model."""

    def __init__(self, call_bytes):
        self._call_bytes = call_bytes

    def memory_required(self, input_shape):
        assert input_shape == [1, 4, 8, 8]
        return self._call_bytes


def test_room_is_several_calls_worth_of_what_the_host_counts_as_free(graphs_module, comfy):
    import comfy.model_management
    x = torch.zeros(1, 4, 8, 8)
    free = comfy.model_management.get_free_memory(x.device)
    assert graphs_module.has_room(SimpleNamespace(model=Model(free / 10)), x)
    assert not graphs_module.has_room(SimpleNamespace(model=Model(free)), x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_cuda_replays_what_the_engine_computes(graphs_module, native, dtype):
    tiny = TinyUNet(native, torch.device("cuda", torch.cuda.current_device()), dtype)
    assert graphs_module.obstacle(tiny.inputs(), None, NoHooks(), None, Binding()) == ""
    graphs = graphs_module.RunGraphs()
    plain, plain_record, replayed, record = plain_and_replayed(native, tiny, graphs)
    assert not graphs.stopped
    assert record == plain_record
    for value, reference in zip(replayed, plain, strict=True):
        assert (value - reference).norm() <= 1e-3 * reference.norm()
    graphs.close()
