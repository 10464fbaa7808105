"""The dial `speed`: the plan that a run follows for it, made when the run's sampler and schedule are known."""

import dataclasses
import functools
from pathlib import Path

from .. import native
from .carry import carried_evaluations
from .hosted_unet import PROMPT_TOKENS, hosted_unet
from .settings import EngineSettings

LOSSES = Path(__file__).with_name("losses.json")
# Predicted dB below which less is done than was asked.
_LEAST_PSNR = 30.0


@functools.cache
def loss_table():
    """The losses that the pack ships."""
    return native.native_module().LossTable.from_json(LOSSES.read_text(encoding="utf-8"))


class Sampling:
    """What a whole run will do, known when it starts."""

    def __init__(self, sampler, sigmas, guider, noise):
        """`sigmas` [steps + 1]; `guider`: whose predictions are sampled; `noise` [batch, channels, height, width]."""
        self._sampler, self._sigmas, self._patcher = sampler, sigmas, guider.model_patcher
        self._guidance = float(getattr(guider, "cfg", 1.0))
        self.height, self.width = noise.shape[-2:]

    @functools.cached_property
    def evaluations(self) -> list[tuple[float, float]]:
        """(sigma, carry) of each."""
        return carried_evaluations(self._sampler, self._sigmas, self._patcher, self._slope)

    def _slope(self, sigma):
        """That of a Gaussian's denoiser, lowered by guidance (docs/speed.md)."""
        table = loss_table()
        noise = sigma ** 2 / (sigma ** 2 + table.spread ** 2)
        return 1.0 - noise * (1.0 + table.pull * (self._guidance - 1.0))


def settings_at_speed(settings: EngineSettings, patcher, sigmas, sampling: Sampling) -> EngineSettings:
    """`settings`, with the plan that their speed asks for in the place of the request. `sigmas`: of the part of the run
    that the UNet of `patcher` makes."""
    request = settings.inheritance
    asked = None if request is None or settings.plan() else native.native_module().speed_from(request.speed)
    if asked is None or len(sigmas) < 2:
        return settings
    first, last = float(sigmas[0]), float(sigmas[-1])
    evaluations = [one for one in sampling.evaluations if min(first, last) <= one[0] <= max(first, last)]
    found = _least_loss(hosted_unet(patcher.model).unet, evaluations, sampling, asked)
    if found is None:
        note = (f"speed {request.speed}: nothing is inherited; in {len(evaluations)} evaluations nothing could be at "
                f"little loss")
        return dataclasses.replace(settings, inheritance=None,
                                   notes=settings.notes if asked == 1.0 else (*settings.notes, note))
    plan = native.native_module().Plan(
        family=hosted_unet(patcher.model).family, steps=len(sigmas) - 1, value=request.value, storage=request.storage,
        evaluations=[(sigma, sites) for (sigma, _), sites in zip(evaluations, found.sites, strict=True)])
    note = f"speed {request.speed}: {1 / found.share:.2f} times less work planned, {found.psnr:.0f} dB predicted"
    return dataclasses.replace(settings, inheritance=plan, notes=(*settings.notes, note))


def _least_loss(unet, evaluations: list, sampling: Sampling, asked: float):
    """The plan for the greatest of the dial's speeds up to `asked` that stays close; None where only exact does."""
    module = native.native_module()
    speeds = sorted({speed for name in module.speed_names() if (speed := module.speed_from(name)) and speed <= asked})
    for speed in reversed(speeds):
        if speed == 1.0 or not evaluations:
            return None
        found = module.least_loss_plan(loss_table(), unet, evaluations, sampling.height, sampling.width, PROMPT_TOKENS,
                                       speed)
        if found.psnr >= _LEAST_PSNR:
            return found
    return None
