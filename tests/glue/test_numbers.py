"""Numbers at the ends of their dtypes: attention whose products leave fp16, and latents that hold none at all."""

import math
from types import SimpleNamespace

import pytest
import torch
from hosted_model import SIZE

STEPS = 6
MODES = [{"mode": "uniform"}, {"mode": "uniform", "value": "taylor2"}, {"mode": "uniform", "value": "affine"},
         {"mode": "adaptive", "full_evaluations": 3}, {"mode": "adaptive", "threshold": 0.1},
         {"mode": "easycache", "threshold": 0.1, "sites": "auto"}, {"mode": "segment", "sites": "auto"},
         {"sites": "guidance"}]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("preset", ["sd15", "sd21"])
def test_attention_is_finite_where_the_host_asks_for_precision(glue, native, preset, dtype, monkeypatch):
    """Products of queries and keys of which fp16 has no number: SD2 asks for fp32 itself, SD1.5 by an option of the
    host's. Of such products softmax picks one, so that rounding decides what the rest of the forward is made of."""
    import comfy.ldm.modules.attention as attention
    from support import calls, models

    monkeypatch.setattr(attention, "FORCE_UPCAST_ATTENTION_DTYPE", {torch.float16: torch.float32,
                                                                    torch.bfloat16: torch.float32}, raising=False)
    pack = SimpleNamespace(loader=glue("host.loader"), native=glue("native"))
    patcher = models.make_patcher(pack, preset, 32, dtype=dtype)
    for name, weight in patcher.model.diffusion_model.named_parameters():
        if name.endswith(("attn1.to_q.weight", "attn1.to_k.weight")):
            weight.data.mul_(300.0)
    inputs = models.random_inputs(patcher, height=8, width=8)
    native_model = glue("host.comfy_host").comfy_host().with_native_engine(patcher)
    calls.load(native_model)
    try:
        ours = calls.forward(native_model, inputs)
        theirs = calls.forward(patcher, inputs)
    finally:
        calls.unload(native_model)
    assert ours.isfinite().all()
    assert theirs.isfinite().all()


@pytest.mark.parametrize("settings", MODES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_latents_that_are_no_numbers_end_a_run_as_in_the_host(hosted, settings, value):
    latent = torch.zeros(1, 4, SIZE, SIZE)
    latent[0, 0, 0, 0] = value
    stock = hosted.sample(hosted.patcher, latent=latent, steps=STEPS)
    ours, report = hosted.sampled(hosted.inheriting(**settings), latent=latent, steps=STEPS)
    assert report["evaluations"] == STEPS
    assert ours.shape == stock.shape
    assert ours.isfinite().all() or not stock.isfinite().all()
    assert math.isfinite(value) or not ours.isfinite().all()
