"""Modes, values and kinds of sites that the benchmark `quality` does not show because others serve better: each at one
setting, beside those of `quality`, on the demo model, 32 pictures, 20 steps of euler and dpmpp_2m, text-to-image.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure, picture_set  # noqa: E402
from support.frontier import Point, frontier, psnr_at  # noqa: E402
from support.quality_rounds import QualityRounds  # noqa: E402
from support.quality_settings import OUR_SETTINGS  # noqa: E402
from support.tried_settings import TRIED_SETTINGS  # noqa: E402

CONDITIONS = tuple(condition for condition in picture_set.CONDITIONS
                   if condition.steps == 20 and condition.task == "text")


def measured(rounds: QualityRounds, condition, batches: list) -> dict:
    """By setting: (speed-up, PSNR, SSIM), all batches timed."""
    found = {}
    for batch in batches:
        for setting, figures in rounds.measure(condition, batch, [*OUR_SETTINGS, *TRIED_SETTINGS], True, [],
                                               float("inf")):
            found.setdefault(setting, []).append(figures)
    return {setting: (measure.median([one["native_s"] / one["seconds"] for one in figures]),
                      statistics.fmean(value for one in figures for value in one["psnr"]),
                      statistics.fmean(value for one in figures for value in one["ssim"]))
            for setting, figures in found.items()}


def rows_of(condition, found: dict) -> list[dict]:
    """`behind_db`: how far a setting lies below the frontier of all at its speed; 0 on it."""
    edge = frontier([Point(speedup, psnr) for speedup, psnr, _ in found.values()])
    return [{"condition": condition.name, "label": setting.label, "reason": setting.reason,
             "inputs": setting.inputs_for(condition.steps), "tried": setting in TRIED_SETTINGS,
             "speedup": round(speedup, 4), "psnr": round(psnr, 3), "ssim": round(ssim, 5),
             "behind_db": round(psnr_at(edge, speedup) - psnr, 3)}
            for setting, (speedup, psnr, ssim) in found.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    arguments.add_device(parser)
    parser.add_argument("--prompts", type=int, default=16, help="two pictures each")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    rounds = QualityRounds(hosted.load_pack())
    batches = picture_set.batches(options.prompts, 2, 8)
    rows = []
    for condition in CONDITIONS:
        rows += rows_of(condition, measured(rounds, condition, batches))
        for row in rows:
            if row["condition"] == condition.name:
                print(json.dumps(row), flush=True)
    # Nothing is bounded here: that every setting runs and skips something is what holds.
    holds = all(row["psnr"] < 100.0 for row in rows)
    print(json.dumps({"benchmark": "tried", "pictures": 2 * options.prompts, "device": options.device, "holds": holds,
                      "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
