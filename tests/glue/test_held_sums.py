"""What held features alone bring to the block behind them, made once in a sampling run: the latent is the same within
rounding, and only where weights stay what they are."""

import uuid

import pytest
import torch
from closeness import relative_error
from hosted_model import lora_schedule, split_batches
from patched_inheritance import DIFFERENT, EQUAL

STEPS = 8
CONV1 = "diffusion_model.output_blocks.9.0.in_layers.2.weight"


@pytest.mark.parametrize("batches", ["together", "apart"])
@pytest.mark.parametrize("settings", [{}, {"interval": 5}, {"sites": "mid"}, {"storage": "bf16"}])
def test_latents_are_equal_within_rounding(hosted, runs, forgetful, monkeypatch, batches, settings):
    if batches == "apart":
        split_batches(monkeypatch)
    model = hosted.inheriting(**settings)
    latent, report = hosted.sampled(model, steps=STEPS)
    expected, plain = forgetful(lambda: hosted.sampled(model, steps=STEPS))
    assert 0 < relative_error(expected, latent) < EQUAL
    assert report["plan"] == plain["plan"]
    prompts = runs[0].bound.projected.peak_bytes
    assert report["cache_bytes"] - prompts > plain["cache_bytes"]
    assert runs[0]._native.cache_bytes == 0


def test_a_recorded_run_replays_bit_for_bit(hosted):
    latent, report = hosted.sampled(hosted.inheriting(mode="adaptive", full_evaluations=3), steps=STEPS)
    assert torch.equal(latent, hosted.sample(hosted.following(report["plan"]), steps=STEPS))


def test_all_that_a_run_keeps_is_declared(hosted, glue):
    model = hosted.inheriting()
    _, report = hosted.sampled(model, steps=STEPS)
    shape = [2, 4, 16, 16]
    needed = glue("host.kept_memory").memory_required(model.get_attachment("asdm"), model.model, torch.device("cpu"))
    declared = needed(shape) - type(model.model).memory_required(model.model, shape)
    projections = glue("host.hosted_unet").hosted_unet(model.model).unet.projection_bytes(2, 77, 4)
    prompts = projections / 4  # cond and uncond together are one of the four inputs that are known at a time
    assert report["cache_bytes"] == pytest.approx(declared - projections + prompts)


def test_weights_that_are_patched_in_mid_run_count(hosted, forgetful):
    """Between two inherited evaluations; the host tells nobody but leaves a new id of its patches."""
    weight = hosted.patcher.model.get_parameter(CONV1)

    def patching(step, *_):
        if step == 1:
            weight.data.neg_()  # a factor alone would vanish in the norm behind it
            hosted.patcher.model.current_weight_patches_uuid = uuid.uuid4()

    def sample(callback):
        try:
            return hosted.sample(hosted.inheriting(interval=STEPS), steps=STEPS, callback=callback)
        finally:
            if callback is patching:
                weight.data.neg_()

    latent = sample(patching)
    assert relative_error(forgetful(lambda: sample(patching)), latent) < EQUAL
    assert relative_error(sample(lambda *_: None), latent) > DIFFERENT


def test_where_hooks_write_into_weights_nothing_is_reused(hosted, forgetful):
    weight = hosted.patcher.model.get_parameter(CONV1).detach().clone()
    hooks = {"hooks": lora_schedule({CONV1: ("diff", (weight,))}, strengths=(1.0, 1.0))}
    prompts = {"positive": hosted.cond(1, **hooks), "negative": hosted.cond(2, **hooks)}
    latent = hosted.sample(hosted.inheriting(), steps=STEPS, **prompts)
    assert torch.equal(latent, forgetful(lambda: hosted.sample(hosted.inheriting(), steps=STEPS, **prompts)))


def test_where_freeu_writes_into_the_trunk_nothing_is_reused(hosted, forgetful):
    from comfy_extras.nodes_freelunch import FreeU_V2
    output = FreeU_V2().patch(hosted.inheriting(), 1.3, 1.4, 0.9, 0.2)
    model = output.result[0] if hasattr(output, "result") else output[0]
    latent = hosted.sample(model, steps=STEPS)
    assert torch.equal(latent, forgetful(lambda: hosted.sample(model, steps=STEPS)))
