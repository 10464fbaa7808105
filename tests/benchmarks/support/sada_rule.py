"""SADA (Jiang et al. 2025, arXiv 2507.17135; sada/solver.py of its source) for samplers of one evaluation a step: which
evaluations are skipped, and what stands in. Pure, so that tests can walk it by hand.

What it prunes of the tokens of computed evaluations is left out: at most a little work, and never less loss.
"""

import math
from typing import NamedTuple

import torch


class _Computed(NamedTuple):
    """An evaluation, computed or skipped: latent as the sampler has it, noise in it, and the derivative that the source
    calls f, times the length of a step."""

    x: torch.Tensor
    sigma: float
    noise: torch.Tensor
    slope: torch.Tensor


class SadaRule:
    """Constants are those of the source's demos, at their shares of 50 steps."""

    PUBLISHED_STEPS, FIRST, LAST, LAGRANGE_FROM = 50, 10, 47, 24
    EVERY, TERMS, MOST_IN_A_ROW = 4, 4, 4

    def __init__(self, lagrange: bool = True):
        """`lagrange`: later skips stand on a polynomial through denoised latents, as in the demos."""
        self._lagrange = lagrange
        self.reset(0)

    def reset(self, steps: int):
        share = steps / self.PUBLISHED_STEPS
        self._first, self._last = max(3, round(self.FIRST * share)), round(self.LAST * share)
        self._from = self.EVERY * round(self.LAGRANGE_FROM * share / self.EVERY) if self._lagrange else math.inf
        self._known, self._denoised, self._in_a_row = [], [], 0
        self._evaluation = 0

    def stand_in(self, x: torch.Tensor, sigma: float) -> torch.Tensor | None:
        """The denoised latent for a skipped evaluation at `x`, `sigma`; None where it is to be computed."""
        before = self._evaluation - 1
        if len(self._known) < 3:
            return None
        last, expected = self._known[-1], self._expected(sigma)
        if self._in_a_row >= self.MOST_IN_A_ROW:
            self._in_a_row = 0
            return None
        bends = (last.slope - self._known[-2].slope) - (self._known[-2].slope - self._known[-3].slope)
        is_stable = float(((x - expected) * bends).mean()) <= 0
        if is_stable and self._first <= before < min(self._from, self._last):
            self._in_a_row += 1
            return expected - sigma * last.noise
        if self._from <= before < self._last and before % self.EVERY and len(self._denoised) > 1:
            self._in_a_row += 1
            return self._interpolated()
        self._in_a_row = 0
        return None

    def _expected(self, sigma: float) -> torch.Tensor:
        """The latent where the sampler should have come to, by the last three derivatives."""
        oldest, middle, last = self._known
        scaled = last.x * _scale(last.sigma) - 0.625 * last.slope - 0.75 * middle.slope + 0.375 * oldest.slope
        return scaled / _scale(sigma)

    def _interpolated(self) -> torch.Tensor:
        """Lagrange's polynomial through the denoised latents that were kept, in short runs less than TERMS."""
        value = torch.zeros_like(self._denoised[0][1])
        for at, denoised in self._denoised:
            weight = math.prod((self._evaluation - other) / (at - other) for other, _ in self._denoised if other != at)
            value = value + weight * denoised
        return value

    def evaluated(self, x: torch.Tensor, sigma: float, denoised: torch.Tensor, beta: float, skipped: bool):
        """An evaluation came to `denoised`; `beta`: of the training's noise schedule at this noise."""
        noise = self._known[-1].noise if skipped else (x - denoised) / sigma
        scale = _scale(sigma)
        slope = -0.5 * beta * x * scale + 0.5 * beta / (sigma * scale) * noise
        self._known = [*self._known, _Computed(x, sigma, noise, slope)][-3:]
        if self._evaluation % self.EVERY == 1:
            self._denoised = [*self._denoised, (self._evaluation, denoised)][-self.TERMS:]
        self._evaluation += 1


def _scale(sigma: float) -> float:
    """From a latent as the sampler has it to one of variance 1."""
    return 1.0 / math.sqrt(1.0 + sigma ** 2)
