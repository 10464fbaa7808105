"""Plots of one curve or of some marks."""

import itertools
import math

import torch

from .drawing import GRID, LINE_HEIGHT, MARGIN, as_tensor, blank, message, text_width, write

LEFT, TOP, WIDTH, HEIGHT = 96, 48, 656, 320  # of the field inside the axes
LEVELS = 4  # lines across the field, the lowest aside
THIN, THICK = "#c7d4e6", "#1c4587"
TRIED, CHOSEN, TARGET = "#8ca6cc", "#cc4026", "#b2b8bf"
MARK, CHOSEN_MARK = 8, 14
ROOM = 0.05  # of an axis, beyond the outermost marks
SMALLEST = 1e-12  # of a loss; zero has no logarithm


class Plot:
    """Places in the field are shares of its axes, (0, 0) at the lower left."""

    def __init__(self, title: str):
        self._picture, self.draw = blank(LEFT + WIDTH + 2 * MARGIN, TOP + HEIGHT + LINE_HEIGHT + MARGIN)
        write(self.draw, MARGIN, TOP / 2, title)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """In pixels."""
        return LEFT + x * WIDTH, TOP + (1 - y) * HEIGHT

    def level(self, y: float, label: str):
        self.draw.line([self.place(0, y), self.place(1, y)], fill=GRID)
        write(self.draw, LEFT - MARGIN, self.place(0, y)[1], label, "rm")

    def below(self, x: float, label: str):
        half = text_width(label) / 2
        middle = min(max(self.place(x, 0)[0], LEFT + half), LEFT + WIDTH + MARGIN - half)
        write(self.draw, middle, TOP + HEIGHT + LINE_HEIGHT * 0.7, label, "mm")

    def curve(self, values: list[float], colour: str, width: int):
        """`values`: heights in the field, at even distances."""
        last = max(len(values) - 1, 1)
        points = [self.place(number / last, value) for number, value in enumerate(values)]
        self.draw.line(points if len(points) > 1 else [points[0], self.place(1, values[0])], fill=colour, width=width,
                       joint="curve")

    def mark(self, x: float, y: float, size: int, colour: str):
        middle_x, middle_y = self.place(x, y)
        self.draw.ellipse([middle_x - size / 2, middle_y - size / 2, middle_x + size / 2, middle_y + size / 2],
                          fill=colour)

    def finished(self) -> torch.Tensor:
        return as_tensor(self._picture)


class Axis:
    """Values along one axis, with room beyond the least and the greatest."""

    def __init__(self, values: list[float]):
        room = max(ROOM * (max(values) - min(values)), 1e-3 * max(1.0, max(values)))
        self._low, self._high = min(values) - room, max(values) + room

    def share(self, value: float) -> float:
        return (value - self._low) / (self._high - self._low)

    def value(self, share: float) -> float:
        return self._low + share * (self._high - self._low)


def loss_plot(losses: list[float]) -> torch.Tensor:
    """Losses over the steps, each and their running mean; losses that are no number are left out."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return message("no step was trained")
    means = running_mean(finite)
    plot = Plot(f"loss over {len(losses)} steps: {finite[0]:.3g} to {means[-1]:.3g}")
    lowest = math.log(max(min(finite), SMALLEST))
    span = math.log(max(max(finite), SMALLEST)) - lowest or 1.0
    for level in range(LEVELS + 1):
        plot.level(level / LEVELS, f"{math.exp(lowest + span * level / LEVELS):.3g}")
    for values, colour, width in ((finite, THIN, 1), (means, THICK, 3)):
        plot.curve([(math.log(max(value, SMALLEST)) - lowest) / span for value in values], colour, width)
    plot.below(0, "1")
    plot.below(1, str(len(losses)))
    return plot.finished()


def running_mean(losses: list[float]) -> list[float]:
    """Exponential, over a twentieth of the steps."""
    share = 1 / max(1.0, len(losses) / 20)
    return list(itertools.accumulate(losses, lambda mean, loss: mean + share * (loss - mean)))


def calibration_plot(tried: list[tuple[float, float]], chosen: int, reached: bool, target: float) -> torch.Tensor:
    """(speed-up, dB) of every plan that was tried, the chosen one's index, and the speed-up that was asked for."""
    speeds, closeness = zip(*tried, strict=True)
    speed_axis, closeness_axis = Axis([*speeds, target]), Axis(list(closeness))
    among = "of" if reached else f"no {target:.3g}x among"
    plot = Plot(f"dB over speed-up: {closeness[chosen]:.3g} dB at {speeds[chosen]:.3g}x, {among} {len(tried)} plans")
    for level in range(LEVELS + 1):
        share = level / LEVELS
        plot.level(share, f"{closeness_axis.value(share):.3g}")
        plot.below(share, f"{speed_axis.value(share):.3g}")
    wanted = speed_axis.share(target)
    plot.draw.line([plot.place(wanted, 0), plot.place(wanted, 1)], fill=TARGET, width=2)
    for number in [*(number for number in range(len(tried)) if number != chosen), chosen]:
        size, colour = (CHOSEN_MARK, CHOSEN) if number == chosen else (MARK, TRIED)
        plot.mark(speed_axis.share(speeds[number]), closeness_axis.share(closeness[number]), size, colour)
    return plot.finished()
