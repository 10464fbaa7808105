"""The dial `speed` against its peers at equal work, on the model of scenes: conditions and prompts that it was not made
on, one setting of ours against the best of all settings of all peers in each (their frontier, on straight lines between
its points).

The axis is multiply-accumulates, which needs no quiet machine. Closeness is the PSNR of latents over their range.
A setting that skipped nothing in a condition is left out there: no line is drawn from its rounding to what another
loses.

--ours: the dial alone, against the points of peers that are stored, which take most of the time and change with nothing
of ours; conditions without such points are left for later. Each process takes a condition at a time.
"""

import argparse
import functools
import json
import multiprocessing
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from results import stored  # noqa: E402
from support import hosted, measure  # noqa: E402
from support.dial import Dial  # noqa: E402
from support.dial_conditions import CONDITIONS, DialCondition  # noqa: E402
from support.frontier import Point, psnr_at  # noqa: E402
from support.methods import with_method  # noqa: E402
from support.quality_settings import OURS, SETTINGS  # noqa: E402
from support.scenes_model import scenes_model  # noqa: E402

SPEEDS = {"1.5x": 1.5, "2x": 2.0, "3x": 3.0}
LEAST_SPEED = 1.02  # of a setting that skips anything
MEAN_GAIN, LEAST_GAIN, WORK_MARGIN = 6.0, 1.0, 0.05
PEERS = [setting for setting in SETTINGS if setting.method != OURS]


def peers_of(pack, dial: Dial) -> list[Point]:
    points = [dial.point(with_method(pack, dial.model, setting, dial.evaluations)) for setting in PEERS]
    return [point for point in points if point.speed > LEAST_SPEED]


def measured(dial: Dial, condition: DialCondition, peers: list[Point]) -> list[dict]:
    """A row for each speed."""
    rows = []
    for name, asked in SPEEDS.items():
        model = dial.at(name)
        ours, ssim = dial.judged(model)
        peer = psnr_at(peers, ours.speed)
        rows.append({"condition": condition.name, "speed": name, "work": round(ours.speed, 3),
                     "as_asked": abs(ours.speed / asked - 1) <= WORK_MARGIN, "as_said": dial.as_said(model),
                     "psnr": round(ours.psnr, 2), "ssim": round(ssim, 4),
                     "peers": peer and round(peer, 2), "gain_db": peer and round(ours.psnr - peer, 2)})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


@functools.cache
def started():
    """(pack, demo) of this process."""
    torch.set_num_threads(1)
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    return pack, scenes_model(pack, held_out=True)


def of_condition(task: tuple) -> tuple[list[Point], list[dict]]:
    """(the peers' points, our rows) of (a condition, the points that are known, None where they are to be measured)."""
    condition, known = task
    pack, demo = started()
    dial = Dial(pack, demo, condition)
    peers = peers_of(pack, dial) if known is None else known
    return peers, measured(dial, condition, peers)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", action="store_true", help="the dial alone, against the stored points of peers")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    known = stored.load()["speed"]["peers"] if options.ours else {}
    chosen = [condition for condition in CONDITIONS if condition.name in known or not options.ours]
    tasks = [(condition, [Point(*point) for point in known[condition.name]] if options.ours else None)
             for condition in chosen]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        found = pool.map(of_condition, tasks, chunksize=1)
    peers = {condition.name: points for condition, (points, _) in zip(chosen, found, strict=True)}
    rows = [row for _, of_one in found for row in of_one]
    gains = {name: [row["gain_db"] for row in rows if row["speed"] == name and row["gain_db"] is not None]
             for name in SPEEDS}
    mean = {name: round(sum(found) / len(found), 2) for name, found in gains.items()}
    least = {name: min(found) for name, found in gains.items()}
    left = [condition.name for condition in CONDITIONS if condition not in chosen]
    holds = (not left and min(mean.values()) >= MEAN_GAIN and min(least.values()) >= LEAST_GAIN
             and all(row["as_asked"] or row["as_said"] for row in rows))
    print(json.dumps({"benchmark": "speed", "conditions": len(chosen), "left": left, "holds": holds,
                      "mean_gain_db": mean, "least_gain_db": least, "rows": rows,
                      "peers": {name: [[round(point.speed, 4), round(point.psnr, 3)] for point in points]
                                for name, points in peers.items()}, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
