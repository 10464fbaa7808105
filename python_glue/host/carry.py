"""How a sampler carries what an evaluation misses to the end of its run, and how far the inputs of two evaluations lie
apart: tried out on the real sampler, with a denoiser of a few numbers in the place of the model (docs/speed.md)."""

import math
from typing import NamedTuple

import comfy.samplers
import torch

SAMPLES = 512  # numbers of the latent by which noise that is drawn anew is seen
_LEAST_SIGMA = 0.01  # as schedules end at 0
_MOST_STRAYED = 0.5  # in ln(sigma): a real model lets nothing grow without end, as numbers do
_LEAST_RENEWED = 0.01  # what rounding makes of none
# How much of what the denoiser of the trial keeps of an earlier miss real ones keep, which know that it belongs to no
# picture. It differs, so that what would cancel out in the trial alone does not.
_KEPT_OF_MISSES = (1.0, 0.8, 0.6)


class Carried(NamedTuple):
    """What a sampler makes of a run."""

    evaluations: list[tuple]  # (sigma, carry, offset, renewed) of each
    one_step: bool  # whether each input follows from the one before, and what was denoised of that, alone
    as_euler: bool = False  # whether the sampler could not be tried, and euler stands for it


class _PatchedModel:
    """The model of a MODEL as the run will find it: before the host loads it, `model_sampling` is its own or that of
    another clone, and samplers ask it how noise is added."""

    def __init__(self, patcher):
        self._model, self.model_sampling = patcher.model, patcher.get_model_object("model_sampling")

    def __getattr__(self, name):
        return getattr(self._model, name)


class _LinearDenoiser(comfy.samplers.CFGGuider):
    """A guider for the sampler, with all that the host's have, that has no model: the latent [1, 1, 1, width] is
    multiplied by `slope`, a function of sigma. With `misses`, element i misses by 1 in evaluation i. Keeps what it was
    called with: `sigmas`, and `inputs` [width]."""

    def __init__(self, patcher, slope, misses: bool = False):
        super().__init__(patcher)
        self.inner_model, self.conds, self.sigmas, self.inputs = _PatchedModel(patcher), {}, [], []
        self._slope, self._misses = slope, misses

    def __call__(self, x, sigma, model_options=None, seed=None):
        sigma = sigma.max()
        denoised = x * self._slope(sigma)
        if self._misses and len(self.sigmas) < x.shape[-1]:
            denoised[..., len(self.sigmas)] += 1.0
        self.sigmas.append(float(sigma))
        self.inputs.append(x[0, 0, 0].clone())
        given = {"denoised": denoised, "cond_denoised": denoised, "uncond_denoised": denoised, "input": x,
                 "sigma": sigma, "model": self.inner_model, "model_options": model_options, "cond": [], "uncond": [],
                 "cond_scale": 1.0}
        for function in (model_options or {}).get("sampler_post_cfg_function", ()):
            denoised = given["denoised"] = function(given)
        return denoised


class _Euler:
    """Stands for a sampler that cannot be tried. Asks nothing of the host."""

    def sample(self, denoiser, sigmas, extra_args, callback, noise, *_, **__):
        x = noise * sigmas[0]
        for sigma, after in zip(sigmas, sigmas[1:], strict=False):
            x = x + (after - sigma) / sigma * (x - denoiser(x, sigma))
        return x


def _sampled(sampler, sigmas: torch.Tensor, denoiser: _LinearDenoiser, noise: torch.Tensor) -> torch.Tensor:
    """What `sampler` makes of `noise` [width] around zeros. It draws the same noise in each call, whatever the
    denoiser does; what the run will draw on any device stays what it was."""
    device = denoiser.model_patcher.load_device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.inference_mode():
        torch.default_generator.manual_seed(0)  # the one of the CPU alone
        noise = noise[None, None, None]
        return sampler.sample(denoiser, sigmas.to("cpu", torch.float32), {"model_options": {}, "seed": 0}, None, noise,
                              torch.zeros_like(noise), disable_pbar=True)[0, 0, 0]


def carried_evaluations(sampler, sigmas: torch.Tensor, patcher, slope) -> Carried:
    """What `sampler` makes of a run over `sigmas` [steps + 1].

    carry: what a miss of 1 in the denoised latent is in the final one, the root of the mean square of what it is where
    more and less of it is kept; offset: of its input from the smooth way of the
    run, in ln(sigma); renewed: how much of its input was drawn anew since each evaluation before it, 0 to 1. `slope`:
    function of a sigma, by how much a denoised latent follows what it is made of. A sampler that needs more of a guider
    than this is taken for euler.
    """
    try:
        return _tried(sampler, sigmas, patcher, slope)
    except Exception:  # noqa: BLE001  whatever a foreign sampler raises without a real model
        return _tried(_Euler(), sigmas, patcher, slope)._replace(as_euler=True)


def _tried(sampler, sigmas: torch.Tensor, patcher, slope) -> Carried:
    tried = _LinearDenoiser(patcher, slope)
    _sampled(sampler, sigmas, tried, torch.randn(SAMPLES, generator=torch.Generator().manual_seed(1)))
    zeros = torch.zeros(len(tried.sigmas))
    trials = [_missed(sampler, sigmas, patcher, lambda sigma, kept=kept: kept * slope(sigma), zeros)
              for kept in _KEPT_OF_MISSES]
    carries = torch.stack([carried for carried, _ in trials]).square().mean(dim=0).sqrt().tolist()
    inputs, moved = torch.stack(tried.inputs), trials[0][1]
    renewed = [tuple(row[:index]) for index, row in enumerate(_renewed(inputs))]
    offsets = [0.0] * len(renewed) if any(map(any, renewed)) else _offsets(inputs, tried.sigmas)
    return Carried(list(zip(tried.sigmas, carries, offsets, renewed, strict=True)),
                   len(moved) == len(tried.inputs) and not any(map(any, renewed)) and _is_one_step(moved))


def _missed(sampler, sigmas: torch.Tensor, patcher, slope, zeros: torch.Tensor) -> tuple[torch.Tensor, list]:
    """(what a miss of 1 in each evaluation is in the final latent [evaluations], what it is in each input)."""
    exact, missing = _LinearDenoiser(patcher, slope), _LinearDenoiser(patcher, slope, misses=True)
    without, missed = (_sampled(sampler, sigmas, denoiser, zeros) for denoiser in (exact, missing))
    return missed - without, [found - usual for found, usual in zip(missing.inputs, exact.inputs, strict=False)]


def _is_one_step(moved: list[torch.Tensor]) -> bool:
    """Whether each input follows from the one before alone. `moved`: [evaluations] of each, what a miss of 1 in each
    evaluation changes it by; all misses but the last come to the next input in the same proportions."""
    for number, (now, after) in enumerate(zip(moved, moved[1:], strict=False)):
        known, later = now[:number], after[:number]
        if (later * known.norm() - known * later.norm()).norm() > _LEAST_RENEWED * known.norm() * later.norm():
            return False
    return True


def _renewed(inputs: torch.Tensor) -> list[list[float]]:
    """Of each of `inputs` [evaluations, width], what each of them has no part in. A denoiser that is linear changes
    none of it."""
    directions = torch.nn.functional.normalize(inputs, dim=1)
    renewed = (1.0 - (directions @ directions.T).square()).clamp(min=0.0).sqrt()
    return renewed.where(renewed > _LEAST_RENEWED, 0.0).tolist()


def _offsets(inputs: torch.Tensor, sigmas: list) -> list[float]:
    """How far each of `inputs` [evaluations, width] lies beside the line between its neighbours, as a share of what is
    usual there. Where no noise is drawn anew all lie on one line, and a share of the input is one of sigma."""
    scales = (inputs @ torch.nn.functional.normalize(inputs[0], dim=0)).tolist()
    places = [math.log(max(sigma, _LEAST_SIGMA)) for sigma in sigmas]
    start = scales[0] / sigmas[0]
    offsets = [0.0] * len(scales)
    for at in range(1, len(scales) - 1):
        low, place, high = places[at - 1:at + 2]
        share = (place - low) / (high - low) if high != low else 0.5
        usual = scales[at - 1] + share * (scales[at + 1] - scales[at - 1])
        offset = (scales[at] - usual) / (start * math.exp(place))
        offsets[at] = max(-_MOST_STRAYED, min(offset, _MOST_STRAYED))
    return offsets
