"""The verdict of the benchmark `quality`: gains over the best peer at equal speed, out of cells."""

import statistics

from support.frontier import Gain, Point, gain_at
from support.quality_settings import OURS

SPEEDS = (1.5, 2.0, 3.0)
GAIN_FLOOR = {1.5: 0.0, 2.0: 3.0, 3.0: 0.0}  # dB, to be exceeded


def points_of(cells: list[dict]) -> dict[str, list[Point]]:
    """By method."""
    points = {}
    for cell in cells:
        points.setdefault(cell["method"], []).append(Point(cell["speedup"], cell["psnr"]))
    return points


def gains_of(cells: list[dict]) -> dict[float, Gain | None]:
    """By speed, within one condition."""
    points = points_of(cells)
    ours = points.pop(OURS, [])
    return {speed: gain_at(ours, points, speed) for speed in SPEEDS}


def by_condition(cells: list[dict]) -> dict[str, list[dict]]:
    found = {}
    for cell in cells:
        found.setdefault(cell["condition"], []).append(cell)
    return found


def verdict(cells: list[dict]) -> dict:
    """`psnr_gain_db` is the mean over the conditions; None where some condition has no gain at that speed."""
    rows, means, worst = [], {}, {}
    for condition, of_condition in by_condition(cells).items():
        row = {"condition": condition}
        for speed, gain in gains_of(of_condition).items():
            row[f"{speed:g}"] = gain and {"ours_db": round(gain.ours, 2), "peer_db": round(gain.peer, 2),
                                          "best_peer": gain.best_peer, "gain_db": round(gain.db, 2)}
        rows.append(row)
    for speed in SPEEDS:
        gains = [row[f"{speed:g}"] and row[f"{speed:g}"]["gain_db"] for row in rows]
        known = bool(gains) and None not in gains
        means[f"{speed:g}"] = round(statistics.fmean(gains), 2) if known else None
        worst[f"{speed:g}"] = min(gains) if known else None
    enough = all(means[f"{speed:g}"] is not None and means[f"{speed:g}"] > floor
                 for speed, floor in GAIN_FLOOR.items())
    return {"psnr_gain_db": means, "worst_psnr_gain_db": worst, "gains": rows, "enough": enough}
