"""Whole runs of the host through graphs that outlive them. Here work is captured as on a GPU: a graph reads the memory
that it read when it was captured, and nothing else."""

import pytest
import torch
from captured_calls import Repeater
from hosted_model import HostedModel, lora, lora_schedule, with_lora


@pytest.fixture
def graphs(glue, native, monkeypatch):
    """The kept graphs of a UNet that the host samples."""
    hosted = HostedModel(glue)
    seam = glue("host.seam")
    plain = seam.obstacle
    monkeypatch.setattr(seam, "obstacle", lambda *call: plain(*call).replace("not on a CUDA device", ""))
    monkeypatch.setattr(seam, "has_room", lambda *_, **__: True)
    # as on a GPU
    monkeypatch.setattr(glue("host.sampling_run").SamplingRun, "projections", lambda *_: None)
    kept = glue("host.run_graphs").KeptGraphs(Repeater())
    kept.hosted = hosted
    glue("host.hosted_unet").hosted_unet(hosted.patcher.model).graphs = kept
    return kept


def without_graphs(graphs, run, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(type(graphs), "meet", lambda *_: False)
        return run()


def runs_of(hosted) -> dict:
    """Runs by name, each a function that gives its latent."""
    def sample(*arguments, **named):
        return hosted.sample(*arguments, steps=6, **named)

    plain, inheriting = hosted.exact(), hosted.inheriting()
    patched = with_lora(plain)
    hooked = hosted.cond(1, hooks=lora_schedule(lora(hosted.patcher)))
    wide = torch.zeros(1, 4, 16, 24)
    return {
        "exact": lambda: sample(plain),
        "other prompt": lambda: sample(plain, positive=hosted.cond(5)),
        "inheriting": lambda: sample(inheriting),
        "guidance": lambda: sample(hosted.inheriting(sites="out.8, guidance")),
        "forecast": lambda: sample(hosted.inheriting(value="taylor1")),
        "wide": lambda: sample(plain, latent=wide),
        "lora": lambda: sample(patched),
        "lora by hooks": lambda: sample(plain, positive=hooked, negative=hooked),
        "heun": lambda: sample(inheriting, hosted.sampler("heun")),
        "wrapped sampler": lambda: sample(
            hosted.patcher, hosted.wrap_sampler(hosted.sampler(), {"level": "block", "sites": "out.5"})),
    }


def test_runs_in_any_order_give_what_they_give_without(graphs, monkeypatch):
    runs = runs_of(graphs.hosted)
    expected = {name: without_graphs(graphs, run, monkeypatch) for name, run in runs.items()}
    assert graphs._record.captures == 0
    order = ["exact", "exact", "other prompt", "inheriting", "guidance", "exact", "lora", "lora", "exact", "forecast",
             "lora by hooks", "exact", "wide", "inheriting", "heun", "wide", "lora by hooks", "wrapped sampler", "lora",
             "wrapped sampler", "exact", "guidance"]
    for name in order:
        assert torch.equal(runs[name](), expected[name]), name
    assert graphs._record.captures > 0


def test_a_second_run_captures_nothing(graphs):
    runs = runs_of(graphs.hosted)
    for name in ("inheriting", "exact"):
        runs[name]()
        captures = graphs._record.captures
        runs[name]()
        assert graphs._record.captures == captures > 0
        assert len(graphs) > 0


def test_behind_a_wrapped_sampler_no_graph_lasts(graphs):
    """Its MODEL is the user's own: nobody would tell of its unloading."""
    runs_of(graphs.hosted)["wrapped sampler"]()
    assert graphs._record.captures > 0
    assert len(graphs) == 0
