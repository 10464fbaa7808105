"""Keys and values of prompts, made once in a sampling run: bit for bit what each call would have made, and only where
weights stay what they are."""

import contextlib
import uuid

import pytest
import torch
from hosted_model import lora_schedule, split_batches

STEPS = 4
ATTN2 = "diffusion_model.output_blocks.11.1.transformer_blocks.0.attn2"


class Stop(Exception):
    """Ends a run from a callback."""


@pytest.mark.parametrize("batches", ["together", "apart", "flipping"])
@pytest.mark.parametrize("model", ["exact", "forecasting"])
@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_latents_are_equal_bit_for_bit(hosted, runs, forgetful, monkeypatch, batches, model, sampler):
    model = hosted.exact() if model == "exact" else hosted.inheriting(value="taylor1")

    def sample():
        asked = []
        with monkeypatch.context() as patched:
            if batches != "together":
                split_batches(patched, lambda: asked.append(None) or batches == "apart" or len(asked) % 2 == 0)
            return hosted.sampled(model, hosted.sampler(sampler), steps=STEPS)

    latent, report = sample()
    expected, plain = forgetful(sample)
    assert torch.equal(latent, expected)
    assert report["cache_bytes"] - plain["cache_bytes"] == runs[0].bound.projected.peak_bytes > 0
    assert runs[1].bound.projected.peak_bytes == 0


@pytest.mark.parametrize("ends", ["by itself", "by an interrupt", "by an error"])
def test_a_run_that_ended_keeps_none(hosted, runs, ends):
    import comfy.model_management
    kept = []

    def callback(step, *_):
        kept.append(runs[0].bound.projected.bytes)
        if step == 2 and ends == "by an error":
            raise Stop
        if step == 2 and ends == "by an interrupt":
            comfy.model_management.interrupt_current_processing()

    with contextlib.suppress(Stop, comfy.model_management.InterruptProcessingException):
        hosted.sample(hosted.exact(), steps=STEPS, callback=callback)
    assert len(kept) == (STEPS if ends == "by itself" else 3)
    assert kept[-1] > 0
    assert runs[0].bound.projected.bytes == 0


def test_a_unet_that_hands_over_keeps_none(hosted, runs):
    kept = []

    def callback(*_):
        kept.append(runs[0].bound.projected.bytes)
        runs[0].clear()
        kept.append(runs[0].bound.projected.bytes)

    hosted.sample(hosted.exact(), steps=1, callback=callback)
    assert kept[0] > 0
    assert kept[1] == 0


def weight_of(hosted, name):
    return hosted.patcher.model.get_parameter(f"{ATTN2}.{name}.weight")


@pytest.mark.parametrize("name", ["to_k", "to_v"])
def test_weights_that_are_patched_in_mid_run_count(hosted, runs, forgetful, name):
    """The host tells nobody but leaves a new id of its patches."""
    def change(factor):
        weight_of(hosted, name).data.mul_(factor)

    def patching(step, *_):
        if step == 1:
            change(2.0)
            hosted.patcher.model.current_weight_patches_uuid = uuid.uuid4()

    def sample(callback):
        try:
            return hosted.sample(hosted.exact(), steps=STEPS, callback=callback)
        finally:
            if callback is patching:
                change(0.5)

    latent = sample(patching)
    assert torch.equal(latent, forgetful(lambda: sample(patching)))
    assert not torch.equal(latent, sample(lambda *_: None))
    assert runs[0].bound.projected.peak_bytes > 0


@pytest.mark.parametrize("hooked", ["cond", "both"])
def test_hooks_that_write_into_weights_count(hosted, runs, forgetful, hooked):
    """One that acts all the time, and one whose strength changes."""
    def sample(*strengths):
        lora = {f"{ATTN2}.to_k.weight": ("diff", (weight_of(hosted, "to_k").detach() * 3.0,))}
        extra = {"hooks": lora_schedule(lora, strengths=strengths)} if strengths else {}
        positive, negative = hosted.cond(1, **extra), hosted.cond(2, **(extra if hooked == "both" else {}))
        return hosted.sample(hosted.exact(), positive=positive, negative=negative, steps=STEPS)

    constant, changing = sample(1.0, 1.0), sample(1.0, 0.3)
    assert torch.equal(constant, forgetful(lambda: sample(1.0, 1.0)))
    assert torch.equal(changing, forgetful(lambda: sample(1.0, 0.3)))
    assert not torch.equal(constant, changing)
    assert not torch.equal(constant, sample())
    if hooked == "both":
        assert runs[0].bound.projected.peak_bytes == 0


def test_offloaded_weights_are_asked_for_at_each_call(hosted, glue, runs, monkeypatch):
    latent = hosted.sample(hosted.exact(), steps=STEPS)
    with monkeypatch.context() as patched:
        patched.setattr(glue("host.weights"), "_needs_host", lambda *_: True)
        assert torch.equal(latent, hosted.sample(hosted.exact(), steps=STEPS))
    assert runs[0].bound.projected.peak_bytes > 0
    assert runs[1].bound.projected.peak_bytes == 0


@pytest.mark.parametrize("tokens", [77, 154])
def test_the_bytes_are_declared(hosted, glue, runs, tokens):
    """With cond and uncond together there is one input; there is room for as many as the cache knows at a time."""
    prompts = {"positive": hosted.cond(1, tokens), "negative": hosted.cond(2, tokens)}
    hosted.sample(hosted.exact(), steps=1, **prompts)
    model = hosted.exact()
    shapes = {"c_crossattn": [(1, tokens, 768)]}
    needed = glue("host.kept_memory").memory_required(model.get_attachment("asdm"), model.model,
                                                       torch.device("cpu"))
    declared = needed([2, 4, 16, 16], cond_shapes=shapes)
    own = type(model.model).memory_required(model.model, [2, 4, 16, 16], cond_shapes=shapes)
    assert declared - own == pytest.approx(4 * runs[0].bound.projected.peak_bytes)


def test_nothing_is_declared_for_a_gpu(hosted, glue):
    model = hosted.exact()
    unet = glue("host.hosted_unet").hosted_unet(model.model)
    assert unet.prompt_bytes([2, 4, 16, 16], {}, 4, torch.device("cuda")) == 0
    assert unet.prompt_bytes([2, 4, 16, 16], {}, 4, torch.device("cpu")) > 0
