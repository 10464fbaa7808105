"""Modes, values and kinds of sites that the benchmark `quality` does not show because others serve better: each at one
setting, on the demo model, 20 steps of euler and dpmpp_2m, text-to-image, on the pictures that `quality` times.

Their frontier is that of the settings of `quality` too, whose rows are read where this machine timed them and measured
where it did not.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure, picture_set  # noqa: E402
from support.frontier import Point, frontier, psnr_at  # noqa: E402
from support.quality_rounds import QualityRounds  # noqa: E402
from support.quality_scope import Scope  # noqa: E402
from support.timed_settings import measured  # noqa: E402
from support.tried_settings import TRIED_SETTINGS  # noqa: E402


def rows_of(condition, found: dict) -> list[dict]:
    """`behind_db`: how far a setting lies below the frontier of all at its speed; 0 on it."""
    edge = frontier([Point(one["speedup"], one["psnr"]) for one in found.values()])
    return [{"condition": condition.name, "label": setting.label, "reason": setting.reason,
             "inputs": setting.inputs_for(condition.steps), "tried": setting in TRIED_SETTINGS, **one,
             "behind_db": round(psnr_at(edge, one["speedup"]) - one["psnr"], 3)}
            for setting, one in found.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    arguments.add_device(parser)
    scope = Scope()
    parser.add_argument("--batches", type=int, choices=range(1, scope.timed_batches + 1), default=scope.timed_batches)
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    rounds = QualityRounds(hosted.load_pack())
    numbers, rows = range(options.batches), []
    for condition in picture_set.SHORT_TEXT:
        rows += rows_of(condition, measured(rounds, scope, condition, numbers, TRIED_SETTINGS))
        for row in rows:
            if row["condition"] == condition.name:
                print(json.dumps(row), flush=True)
    # Nothing is bounded here: that every setting runs and skips something is what holds.
    holds = all(row["psnr"] < 100.0 for row in rows)
    print(json.dumps({"benchmark": "tried", "pictures": rows[0]["count"], "device": options.device, "holds": holds,
                      "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
