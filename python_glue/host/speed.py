"""The dial `speed`: the plan that a run follows for it, made when the run's sampler and schedule are known."""

import dataclasses
import functools
import statistics
from pathlib import Path

from .. import native
from .carry import Carried, carried_evaluations
from .hosted_unet import PROMPT_TOKENS, hosted_unet
from .settings import EngineSettings

LOSSES = Path(__file__).with_name("losses.json")
# Predicted dB below which less is done than was asked. Runs of few steps lose up to 11 dB more than predicted.
_LEAST_PSNR = 30.0


@functools.cache
def loss_table():
    """The losses that the pack ships."""
    return native.native_module().LossTable.from_json(LOSSES.read_text(encoding="utf-8"))


def guidance_of(cfg) -> float:
    """Of a guider's `cfg`, which other packs make a list with a value for each step: their mean. 1 where it is nothing
    that can be read."""
    values = list(cfg) if isinstance(cfg, (list, tuple)) else [cfg]
    try:
        return statistics.fmean(float(value) for value in values)
    except (TypeError, ValueError):  # no number, or none at all
        return 1.0


class Sampling:
    """What a whole run will do, known when it starts."""

    def __init__(self, sampler, sigmas, guider, noise):
        """`sigmas` [steps + 1]; `guider`: whose predictions are sampled; `noise` [batch, channels, height, width]."""
        self._sampler = getattr(sampler, "sampled_by", sampler)  # what is wrapped wants a real model
        self._sigmas, self._patcher = sigmas, guider.model_patcher
        self._cfg = getattr(guider, "cfg", 1.0)
        self.height, self.width = noise.shape[-2:]

    @property
    def rises(self) -> bool:
        """Whether a step leads to more noise than it began with: such a run is no way from noise to a picture."""
        return bool((self._sigmas[1:] > self._sigmas[:-1]).any())

    @functools.cached_property
    def carried(self) -> Carried:
        """The evaluations that the sampler will make."""
        table = loss_table()

        def slope(sigma):
            """That of a Gaussian's denoiser, lowered by guidance (docs/speed.md)."""
            noise = sigma ** 2 / (sigma ** 2 + table.spread ** 2)
            return 1.0 - noise * (1.0 + table.pull * (guidance - 1.0))
        guidance = guidance_of(self._cfg)
        return carried_evaluations(self._sampler, self._sigmas, self._patcher, slope)


def settings_at_speed(settings: EngineSettings, patcher, sigmas, sampling: Sampling, makes=None) -> EngineSettings:
    """`settings`, with the plan that their speed asks for in the place of the request. `sigmas`: of the part of the run
    that the UNet of `patcher` makes; `makes`: of a sigma, whether it makes the evaluations there, None for all."""
    request = settings.inheritance
    asked = None if request is None or settings.plan() else native.native_module().speed_from(request.speed)
    if asked is None or len(sigmas) < 2:
        return settings
    if sampling.rises:
        return _exact(settings, request.speed, asked,
                      "sigmas of this run rise, and no feature of before stands in where there is more noise again")
    evaluations = _made(sampling.carried.evaluations, makes)
    if sampling.carried.as_euler:
        note = f"speed {request.speed}: the sampler cannot be tried without a model, and is planned for as euler"
        settings = dataclasses.replace(settings, notes=(*settings.notes, note))
    # Samplers of several steps extrapolate what a forecast misses.
    may_forecast = sampling.carried.one_step and request.value == "hold"
    found = _least_loss(hosted_unet(patcher.model).spec, tuple(evaluations), sampling.height, sampling.width, asked,
                        may_forecast)
    if found is None:
        return _exact(settings, request.speed, asked,
                      f"in {len(evaluations)} evaluations nothing could be at little loss")
    plan = native.native_module().Plan(
        family=hosted_unet(patcher.model).family, steps=len(sigmas) - 1,
        value=found.value if may_forecast else request.value, storage=request.storage,
        evaluations=[(sigma, sites) for (sigma, *_), sites in zip(evaluations, found.sites, strict=True)])
    note = f"speed {request.speed}: {1 / found.share:.2f} times less work planned, {found.psnr:.0f} dB predicted"
    return dataclasses.replace(settings, inheritance=plan, notes=(*settings.notes, note))


def _exact(settings: EngineSettings, speed: str, asked: float, reason: str) -> EngineSettings:
    """`settings` that inherit nothing, for `reason`, where more was `asked` for by the name `speed`."""
    note = f"speed {speed}: nothing is inherited; {reason}"
    return dataclasses.replace(settings, inheritance=None,
                               notes=settings.notes if asked == 1.0 else (*settings.notes, note))


def _made(evaluations: list, makes) -> list[tuple]:
    """Those of them that one UNet `makes`, as a run of their own."""
    kept = [index for index, (sigma, *_) in enumerate(evaluations) if makes is None or makes(sigma)]
    return [(*evaluations[index][:3], tuple(evaluations[index][3][before] for before in kept[:place]))
            for place, index in enumerate(kept)]


@functools.lru_cache(maxsize=64)  # queues sample the same way again and again
def _least_loss(spec, evaluations: tuple, height: int, width: int, asked: float, may_forecast: bool):
    """The plan for the greatest of the dial's speeds up to `asked` that stays close; None where only exact does."""
    module = native.native_module()
    speeds = sorted({speed for name in module.speed_names() if (speed := module.speed_from(name)) and speed <= asked})
    unet = module.UNet(spec)
    for speed in reversed(speeds):
        if speed == 1.0 or not evaluations:
            return None
        found = module.least_loss_plan(loss_table(), unet, evaluations, height, width, PROMPT_TOKENS, speed,
                                       may_forecast)
        if found.psnr >= _LEAST_PSNR:
            return found
    return None
