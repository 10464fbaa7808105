"""Calibrating a plan: runs as the host's own KSampler makes them, which native PlanSearch chooses and learns from."""

import math
import time

import comfy.sample
import comfy.utils
import torch

from .. import native
from ..pictures.plots import calibration_plot
from .hosted_unet import hosted_unet
from .settings import settings_of

# Equal latents count as this many dB.
_PSNR_OF_EQUAL = 100.0
# What slows the machine for a while must not slow plans alone.
_TRIALS_PER_FULL_RUN = 5
_MOST_RUNS = 30  # that a search may take, by plan_search.h: those that warm up and time full runs among them


def calibrate_plan(host, model, asked: dict) -> dict:
    """{"plan": Plan, "tried": [(speedup, psnr)], "chosen", "reached", "plot"}; see nodes/host.h. `host`: a
    ComfyHost."""
    exact = host.without_inheritance(model)
    settings = settings_of(exact)
    if settings.chain is not None:
        raise ValueError("ASDMCalibratePlan.model: expected a model of one UNet, got one that switches between "
                         "several; calibrate before ASDM Switch UNets")
    progress = comfy.utils.ProgressBar(_MOST_RUNS)
    reference, _ = _sampled(exact, asked, progress)  # untimed: the first run loads the model
    report = settings.reports[-1][1]
    if report["fallback_calls"]:
        raise ValueError(f"ASDMCalibratePlan.model: expected a model that runs in the native engine, got calls that "
                         f"ran in the host's own forward ({'; '.join(report['fallback_reasons'])})")
    recorded = native.native_module().Plan.from_json(report["plan"])
    search = _search(model, recorded, reference, asked)
    search.add_full_run(_sampled(exact, asked, progress)[1])
    while (sites := search.next()) is not None:
        if len(search.trials) % _TRIALS_PER_FULL_RUN == _TRIALS_PER_FULL_RUN - 1:
            search.add_full_run(_sampled(exact, asked, progress)[1])
        latents, seconds = _sampled(host.with_inheritance(model, _followed(recorded, sites)), asked, progress)
        search.add_trial(seconds, _psnr(reference, latents))
    tried, chosen = search.trials, search.best
    plan = _followed(recorded, tried[chosen]["sites"])
    pairs = [(trial["speedup"], trial["psnr"]) for trial in tried]
    return {"plan": plan, "tried": pairs, "chosen": chosen, "reached": search.reached,
            "plot": calibration_plot(pairs, chosen, search.reached, asked["target_speedup"])}


def _search(model, recorded, latents: torch.Tensor, asked: dict):
    height, width = latents.shape[-2:]
    return native.native_module().PlanSearch(
        unet=hosted_unet(model.model).unet, sigmas=recorded.sigmas,
        height=height, width=width, tokens=asked["positive"][0][0].shape[1], target_speedup=asked["target_speedup"])


def _sampled(model, asked: dict, progress) -> tuple[torch.Tensor, float]:
    """(latents, seconds) of a run as the host's KSampler makes it, but without its previews, which would stand on the
    node in the place of the plot, and with the `progress` of all runs in the place of its own."""
    started = time.perf_counter()
    given = asked["latent_image"]
    latents = comfy.sample.fix_empty_latent_channels(model, given["samples"])
    noise = comfy.sample.prepare_noise(latents, asked["seed"], given.get("batch_index"))
    samples = comfy.sample.sample(
        model, noise, asked["steps"], asked["cfg"], asked["sampler_name"], asked["scheduler"], asked["positive"],
        asked["negative"], latents, denoise=asked["denoise"], noise_mask=given.get("noise_mask"), disable_pbar=True,
        seed=asked["seed"])
    samples = samples.float().cpu()  # waits for a GPU
    seconds = time.perf_counter() - started
    progress.update(1)
    return samples, seconds


def _followed(recorded, sites: list[list[str]]):
    """The Plan `recorded` with other sites."""
    return native.native_module().Plan(family=recorded.family, steps=recorded.steps, value=recorded.value,
                                       storage=recorded.storage,
                                       evaluations=list(zip(recorded.sigmas, sites, strict=True)))


def _psnr(reference: torch.Tensor, latents: torch.Tensor) -> float:
    """dB between latents [batch, ...], over the range of the reference: mean over the batch."""
    found = []
    for expected, given in zip(reference, latents, strict=True):
        error = float((expected - given).square().mean())
        peak = float(expected.max() - expected.min())
        found.append(min(10.0 * math.log10(peak ** 2 / error), _PSNR_OF_EQUAL) if error else _PSNR_OF_EQUAL)
    return sum(found) / len(found)
