"""An attention that the user started ComfyUI with: the engine computes all around it, and lets it attend."""

import importlib

import pytest
import torch
from closeness import relative_error

# A library as SageAttention is: another function, imported by the host by name. Its scores are a tenth smaller, so that
# it cannot be taken for an exact one.
LIBRARY = '''
import torch

calls = 0


def sageattn(q, k, v, tensor_layout, is_causal, **_):
    global calls
    calls += 1
    assert tensor_layout == "NHD" and not is_causal
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=0.9 * q.shape[-1] ** -0.5)
    return out.transpose(1, 2)
'''


@pytest.fixture
def library(comfy, tmp_path, monkeypatch):
    """The host as `--use-sage-attention` starts it."""
    from comfy.ldm.modules import attention
    (tmp_path / "sageattention.py").write_text(LIBRARY)
    (tmp_path / "sageattention-2.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("sageattention")
    monkeypatch.setattr(attention, "sageattn", module.sageattn, raising=False)
    monkeypatch.setattr(attention, "optimized_attention", attention.attention_sage)
    yield module
    importlib.sys.modules.pop("sageattention")


def test_it_attends_in_the_engine_as_in_the_host(hosted, library):
    plain = hosted.sample(hosted.patcher, steps=3)
    in_host, library.calls = library.calls, 0
    latent, report = hosted.sampled(hosted.exact(), steps=3)
    assert library.calls == in_host == 3 * 32  # evaluations of 16 transformers
    assert relative_error(latent, plain) < 1e-5
    assert report["native_share"] == 1.0
    assert not report["places"]
    assert not report["calls_with_hooks"]


def test_it_is_another_than_the_engines_own(hosted, library, comfy, monkeypatch):
    from comfy.ldm.modules import attention
    chosen = hosted.sample(hosted.exact(), steps=3)
    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    own = hosted.sample(hosted.exact(), steps=3)
    assert relative_error(chosen, own) > 1e-3


@pytest.mark.parametrize("changes", [{}, {"sites": "out.8, guidance"}, {"sites": "in.4.attn.0.attn1", "level": "unit"}])
def test_runs_inherit_around_it(hosted, library, changes):
    latent, report = hosted.sampled(hosted.inheriting(**changes))
    assert report["inherited"] == 5
    again, _ = hosted.sampled(hosted.inheriting(**changes))
    assert torch.equal(latent, again)


@pytest.mark.parametrize("name", ["attention_basic", "attention_sub_quad", "attention_split", "attention_pytorch"])
def test_an_exact_one_is_the_engines_own(glue, comfy, monkeypatch, name):
    from comfy.ldm.modules import attention
    monkeypatch.setattr(attention, "optimized_attention", getattr(attention, name))
    hooks = glue("host.hooks")
    assert hooks.chosen_attention() is None
    assert not hooks.HostHooks({}, 32, None).overrides_attention


def test_one_that_needs_another_device_is_no_reason_to_leave_the_unet_to_the_host(hosted, comfy, monkeypatch, caplog):
    """xformers computes nothing on a CPU, where the pack tries the host's classes; what it computes is exact."""
    from comfy.ldm.modules import attention
    exact = hosted.sample(hosted.exact(), steps=3)
    monkeypatch.setattr(attention, "optimized_attention", attention.attention_xformers)
    latent, report = hosted.sampled(hosted.exact(), steps=3)
    assert torch.equal(latent, exact)
    assert report["native_share"] == 1.0
    assert not caplog.records


def test_no_other_hook_is_asked_so_that_a_call_may_be_a_graph(glue, library):
    hooks = glue("host.hooks").HostHooks({}, 32, None)
    assert hooks.overrides_attention
    assert not hooks.follows_blocks
