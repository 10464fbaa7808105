"""The decision rules of caches that the host has no nodes for, written from their published definitions: when to skip,
and what stands in. Pure, so that tests can walk them by hand."""

import math

import torch

# DeepCache (Ma et al. 2023), stable_diffusion.py of horseee/DeepCache: its example for 50 steps.
DEEPCACHE_POWER = 1.4
DEEPCACHE_CENTRE = 15
DEEPCACHE_STEPS = 50


def deepcache_centre(steps: int) -> int:
    """The published centre, which belongs to 50 steps, at the same share of `steps`."""
    return round(DEEPCACHE_CENTRE * steps / DEEPCACHE_STEPS)


def deepcache_full_steps(steps: int, count: int, centre: int, power: float = DEEPCACHE_POWER) -> list[int]:
    """DeepCache's non-uniform schedule (`sample_from_quad_center`): `count` full steps of `steps`, step 0 among them.

    Roots of negative numbers are complex and their real part is truncated, as published. The power falls by 0.02 until
    the list has `count` entries; ValueError where none above 1 gives it.
    """
    while power > 1:
        first, last = complex(-centre) ** (1 / power), complex(steps - centre) ** (1 / power)
        points = [first + (last - first) * i / count for i in range(count + 1)]
        offsets = sorted({int((point ** power).real) for point in points})
        full = [0] + [centre + offset for offset in offsets[1:-1]]
        if len(full) == count:
            return full
        power -= 0.02
    raise ValueError(f"deepcache_full_steps: expected a count of full steps that some power gives, got {count} of "
                     f"{steps} around {centre}")


class FirstBlockRule:
    """First-block cache (chengzeyi/Comfy-WaveSpeed, `get_can_use_cache`): a call is skipped where the residual of the
    first block is close to that of the last call that was computed. Nothing accumulates."""

    def __init__(self, threshold: float):
        self._threshold = threshold
        self.reset()

    def reset(self):
        self._computed = None

    def skips(self, residual: torch.Tensor) -> bool:
        """Decides on the residual (output minus input) of the first block, over the whole batch."""
        if self._is_close(residual):
            return True
        self._computed = residual
        return False

    def _is_close(self, residual: torch.Tensor) -> bool:
        last = self._computed
        if last is None or last.shape != residual.shape:
            return False
        return float((last - residual).abs().mean() / last.abs().mean()) < self._threshold


class SpectrumRule:
    """The "spectrum" mode of leejet/stable-diffusion.cpp (src/spectrum.hpp, defaults of SpectrumConfig) on the guided
    prediction: a window of skips that grows with each computed evaluation, and a blend of a ridge fit in Chebyshev
    polynomials with half a first difference. The 50 in the time coordinate is a constant there, whatever the steps."""

    STEPS_OF_COORDINATE = 50
    WARM_UP = 4
    STOP = 0.9
    DEGREE = 3
    RIDGE = 1.0

    def __init__(self, window: float = 2.0, growth: float = 0.5, blend: float = 0.4):
        self._first_window, self._growth, self._blend = window, growth, blend
        self.reset(0)

    def reset(self, steps: int):
        self._stop = int(self.STOP * steps)
        self._window = self._first_window
        self._evaluation = self._skipped = 0
        self._snapshots = []  # (time coordinate, prediction), oldest first

    def skips(self) -> bool:
        if self._evaluation < self.WARM_UP or len(self._snapshots) < 2:
            return False
        if 0 < self._stop <= self._evaluation:
            return False
        return (self._skipped + 1) % max(1, math.floor(self._window)) != 0

    def _coordinate(self) -> float:
        return 2.0 * self._evaluation / self.STEPS_OF_COORDINATE - 1.0

    def computed(self, prediction: torch.Tensor):
        """Keeps the prediction of a computed evaluation."""
        self._snapshots.append((self._coordinate(), prediction))
        self._snapshots = self._snapshots[-max(self.DEGREE + 1, 6):]
        if self._evaluation >= self.WARM_UP:
            self._window += self._growth
        self._skipped = 0
        self._evaluation += 1

    def forecast(self) -> torch.Tensor:
        """What stands in for a skipped evaluation."""
        weights = chebyshev_weights([at for at, _ in self._snapshots], self._coordinate(), self.DEGREE, self.RIDGE)
        fitted = sum(weight * value for weight, (_, value) in zip(weights, self._snapshots, strict=True))
        last, before = self._snapshots[-1][1], self._snapshots[-2][1]
        self._skipped += 1
        self._evaluation += 1
        return self._blend * fitted + (1.0 - self._blend) * (last + 0.5 * (last - before))


def _chebyshev(at: list[float], degree: int) -> torch.Tensor:
    """T_0..T_degree at each place, [len(at), degree + 1]."""
    places = torch.tensor(at, dtype=torch.float64)
    columns = [torch.ones_like(places), places]
    while len(columns) <= degree:
        columns.append(2.0 * places * columns[-1] - columns[-2])
    return torch.stack(columns[:degree + 1], dim=1)


def chebyshev_weights(at: list[float], wanted: float, degree: int, ridge: float) -> list[float]:
    """The weight of each value at `at` in the ridge fit's value at `wanted`."""
    basis = _chebyshev(at, degree)
    normal = basis.T @ basis + ridge * torch.eye(degree + 1, dtype=torch.float64)
    return (basis @ torch.linalg.solve(normal, _chebyshev([wanted], degree)[0])).tolist()
