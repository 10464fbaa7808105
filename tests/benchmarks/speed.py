"""The dial `speed` against its peers at equal work, on the model of scenes: conditions and prompts that it was not made
on, one setting of ours against the best of all settings of all peers in each (their frontier, on straight lines between
its points).

The axis is multiply-accumulates, which needs no quiet machine. Closeness is the PSNR of latents over their range.
A setting that skipped nothing in a condition is left out there: no line is drawn from its rounding to what another
loses.

--ours: the dial alone, against the points of peers that are stored, which take most of the time and change with nothing
of ours; conditions without such points are left for later. --add METHOD: that peer alone, beside what is stored. Each
process takes a condition at a time.
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
from support.competition import peer_environment  # noqa: E402
from support.dial import Dial  # noqa: E402
from support.dial_conditions import CONDITIONS, DialCondition  # noqa: E402
from support.frontier import Point, psnr_at  # noqa: E402
from support.methods import with_method  # noqa: E402
from support.perceptual import ENVIRONMENT, Perceptual  # noqa: E402
from support.quality_settings import PEER_SETTINGS, SADA_SETTINGS  # noqa: E402
from support.scenes_model import scenes_model  # noqa: E402

SPEEDS = {"1.5x": 1.5, "2x": 2.0, "3x": 3.0}
LEAST_SPEED = 1.02  # of a setting that skips anything
MEAN_GAIN, LEAST_GAIN, WORK_MARGIN = 6.0, 1.0, 0.05
PEERS = PEER_SETTINGS + SADA_SETTINGS
METHODS = frozenset(setting.method for setting in PEERS)


def peers_of(pack, dial: Dial, methods: frozenset) -> list[Point]:
    points = [dial.point(with_method(pack, dial.model, setting, dial.evaluations)) for setting in PEERS
              if setting.method in methods]
    return [point for point in points if point.speed > LEAST_SPEED]


def against(row: dict, peers: list[Point]) -> dict:
    """`row`, with what `peers` reach at its work."""
    peer = psnr_at(peers, row["work"])
    return row | {"peers": peer and round(peer, 2), "gain_db": peer and round(row["psnr"] - peer, 2)}


def measured(dial: Dial, condition: DialCondition, peers: list[Point]) -> list[dict]:
    """A row for each speed."""
    rows = []
    for name, asked in SPEEDS.items():
        model = dial.at(name)
        ours, closeness = dial.judged(model, perceptual())
        rows.append(against({
            "condition": condition.name, "speed": name, "work": round(ours.speed, 3),
            "as_asked": abs(ours.speed / asked - 1) <= WORK_MARGIN, "as_said": dial.as_said(model),
            "psnr": round(ours.psnr, 2), **closeness}, peers))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


@functools.cache
def perceptual() -> Perceptual:
    return Perceptual()


@functools.cache
def started():
    """(pack, demo) of this process."""
    torch.set_num_threads(1)
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    return pack, scenes_model(pack, held_out=True)


def of_condition(task: tuple) -> tuple[list[Point], list[dict]]:
    """(the peers' points, our rows) of (a condition, points that are known, methods of peers to measure besides, our
    rows, None where they are to be measured)."""
    condition, known, methods, rows = task
    pack, demo = started()
    dial = Dial(pack, demo, condition)
    peers = known + peers_of(pack, dial, methods)
    return peers, measured(dial, condition, peers) if rows is None else [against(row, peers) for row in rows]


def tasks_of(options) -> list[tuple]:
    """Of `of_condition`."""
    if not (options.ours or options.add):
        return [(condition, [], METHODS, None) for condition in CONDITIONS]
    before = stored.load()["speed"]
    points = {name: [Point(*point) for point in found] for name, found in before["peers"].items()}
    methods = frozenset({options.add} if options.add else ())
    rows = {name: [row for row in before["rows"] if row["condition"] == name] if options.add else None
            for name in points}
    return [(condition, points[condition.name], methods, rows[condition.name])
            for condition in CONDITIONS if condition.name in points]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", action="store_true", help="the dial alone, against the stored points of peers")
    parser.add_argument("--add", choices=sorted(METHODS), help="a peer that lacks")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    tasks = tasks_of(options)
    peer_environment(ENVIRONMENT)  # here, or the processes would make it over each other
    chosen = [condition for condition, *_ in tasks]
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
