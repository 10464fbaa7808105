"""Weights that the host keeps in pages of a device: read where they lie while all are filled, asked for where not, and
never left pinned."""

from types import SimpleNamespace

import pytest
import torch
from paged_vram import CastsFromPages, PageCalls, put_into_pages, uncast

STEPS = 4


@pytest.fixture
def leaves(hosted):
    """Those of the diffusion model that are large enough for pages of their own."""
    return [module for module in hosted.patcher.model.diffusion_model.modules()
            if getattr(module, "weight", None) is not None and module.weight.dim() > 1]


@pytest.fixture
def paged(hosted, leaves, monkeypatch, glue):
    """`paged(most)`: the memory of the model's pages, and the host's cast of what lies in them."""
    import comfy.ops

    def put(most=None):
        monkeypatch.setattr(glue("host.paged_weights"), "model_vbar", PageCalls)
        memory = put_into_pages(monkeypatch, leaves, most)
        casts = CastsFromPages(comfy.ops.cast_bias_weight)
        monkeypatch.setattr(comfy.ops, "cast_bias_weight", casts)
        monkeypatch.setattr(comfy.ops, "uncast_bias_weight", uncast)
        return SimpleNamespace(memory=memory, casts=casts)

    return put


def sample(hosted, patcher, at_step=lambda step: None):
    return hosted.sample(patcher, steps=STEPS, callback=lambda step, *_: at_step(step))


@pytest.mark.parametrize("inherits", [False, True])
def test_filled_pages_are_read_where_they_lie(hosted, paged, leaves, inherits):
    model = hosted.inheriting(interval=2) if inherits else hosted.exact()
    expected = sample(hosted, model)
    pages = paged()
    asked = []
    found = sample(hosted, model, lambda _: asked.append(pages.casts.calls))
    assert torch.equal(found, expected)
    # Once to see how the host casts, then each leaf in the first evaluation, and nobody after that.
    assert asked == [len(leaves) + 1] * STEPS
    assert pages.memory.pinned == 0


def test_a_page_that_was_taken_back_is_filled_again(hosted, paged, leaves):
    expected = sample(hosted, hosted.exact())
    pages = paged()
    asked = []

    def at_step(step):
        asked.append(pages.casts.calls)
        if step == 1:
            pages.memory.take_back(3)

    assert torch.equal(sample(hosted, hosted.exact(), at_step), expected)
    assert asked == [len(leaves) + 1] * 2 + [2 * len(leaves) + 1] * 2
    assert pages.memory.pinned == 0


def test_pages_that_come_and_go_are_not_looked_at_for_ever(hosted, paged, leaves):
    expected = hosted.sample(hosted.exact(), steps=12)
    pages = paged()
    faults = []

    def at_step(step, *_):
        pages.memory.take_back(0)
        faults.append(pages.memory.faults)

    assert torch.equal(hosted.sample(hosted.exact(), steps=12, callback=at_step), expected)
    spent = [after - before for before, after in zip(faults, faults[1:], strict=False)]
    assert spent[-1] == len(leaves)  # one for each use
    assert pages.memory.pinned == 0


def test_a_model_that_does_not_fit_is_asked_for(hosted, paged, leaves):
    expected = sample(hosted, hosted.exact())
    pages = paged(most=8)
    assert torch.equal(sample(hosted, hosted.exact()), expected)
    assert pages.casts.calls == STEPS * len(leaves) + 1
    assert pages.memory.pinned == 0


def test_pages_are_left_alone_where_a_call_would_lack_the_memory(hosted, paged, leaves, monkeypatch, glue):
    expected = sample(hosted, hosted.exact())
    pages = paged()
    asked = []

    def has_room(patcher, x, kept=0, calls=3):
        asked.append((kept, calls))
        return False

    monkeypatch.setattr(glue("host.seam"), "has_room", has_room)
    assert torch.equal(sample(hosted, hosted.exact()), expected)
    assert pages.casts.calls == STEPS * len(leaves) + 1
    assert {calls for _, calls in asked} == {1}
    assert all(kept >= sum(leaf.weight.nbytes for leaf in leaves) for kept, _ in asked)


def test_an_interrupt_leaves_nothing_pinned(hosted, paged, monkeypatch, glue):
    pages = paged()
    EngineCall = glue("host.seam").EngineCall
    calls = []

    def forward(self, binding, *arguments):
        calls.append(binding.all_resident)
        if calls[-1]:
            raise KeyboardInterrupt
        return plain(self, binding, *arguments)

    plain = EngineCall._forward
    monkeypatch.setattr(EngineCall, "_forward", forward)
    with pytest.raises(KeyboardInterrupt):
        sample(hosted, hosted.exact())
    assert calls == [False, True]
    assert pages.memory.pinned == 0


def test_what_a_function_changes_at_use_is_asked_for(hosted, paged, leaves, monkeypatch):
    expected = sample(hosted, hosted.exact())
    pages = paged()
    monkeypatch.setattr(leaves[5], "weight_function", [lambda weight: weight])
    assert torch.equal(sample(hosted, hosted.exact()), expected)
    assert pages.casts.calls == STEPS * len(leaves) + 1
    assert pages.memory.pinned == 0
