"""Speed against closeness: Pareto frontiers of methods, and how far one lies above others at equal speed."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    speed: float  # times as fast as without the method
    psnr: float  # dB


@dataclass(frozen=True)
class Gain:
    """At one speed: our closeness, and that of the best peer."""

    ours: float
    peer: float
    best_peer: str

    @property
    def db(self) -> float:
        return self.ours - self.peer


def frontier(points: list[Point]) -> list[Point]:
    """The points that no other equals or exceeds in both speed and PSNR, slowest first."""
    best = []
    for point in sorted(points, key=lambda point: (-point.speed, -point.psnr)):
        if not best or point.psnr > best[-1].psnr:
            best.append(point)
    return best[::-1]


def psnr_at(points: list[Point], speed: float) -> float | None:
    """PSNR that the frontier of `points` gives at `speed` or faster, on straight lines between its points.

    Below its slowest point it is that point's, since that is at least as fast; None beyond the fastest.
    """
    edge = frontier(points)
    if not edge or speed > edge[-1].speed:
        return None
    if speed <= edge[0].speed:
        return edge[0].psnr
    for slow, fast in zip(edge, edge[1:], strict=False):
        if speed <= fast.speed:
            share = (speed - slow.speed) / (fast.speed - slow.speed)
            return slow.psnr + share * (fast.psnr - slow.psnr)
    raise AssertionError("internal fault: a speed within the frontier lies between two of its points")


def gain_at(ours: list[Point], peers: dict[str, list[Point]], speed: float) -> Gain | None:
    """None where our frontier or every peer's ends before `speed`."""
    reached = {name: psnr_at(points, speed) for name, points in peers.items()}
    reached = {name: psnr for name, psnr in reached.items() if psnr is not None}
    own = psnr_at(ours, speed)
    if own is None or not reached:
        return None
    best = max(reached, key=reached.get)
    return Gain(own, reached[best], best)


def standing(cells: list[dict]) -> Counter:
    """By (method, label): in how many conditions a setting stands on the frontier of all cells of that condition."""
    found = Counter()
    for condition in {cell["condition"] for cell in cells}:
        of_condition = [cell for cell in cells if cell["condition"] == condition]
        edge = set(frontier([Point(cell["speedup"], cell["psnr"]) for cell in of_condition]))
        found.update((cell["method"], cell["label"]) for cell in of_condition
                     if Point(cell["speedup"], cell["psnr"]) in edge)
    return found
