"""Closeness to the unaccelerated picture against measured speed, of the pack's inheritance and of its peers, on the
demo model: text-to-image and image-to-image, euler and dpmpp_2m, 20 and 50 steps, through the host's own KSampler.

Peers run on the same native engine. Speed is that of the model's evaluations, against native runs taken in between.
A cell is one setting in one condition; --missing measures only the cells that are not stored yet, so that the whole,
which takes hours, can be done in parts. The first batches of a cell are timed and want a quiet machine; the others add
to its PSNR and SSIM alone, so that several processes can share them out (--part untimed, --conditions), also on another
device: what they append to docs/benchmarks/quality_rows.jsonl can be put together.
--quick: 8 prompts, one seed, 20 steps of euler, text-to-image, for steering.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from results import stored, tables  # noqa: E402
from support import arguments, hosted, measure, picture_set, quality_gains  # noqa: E402
from support.quality_cells import Cells, Key  # noqa: E402
from support.quality_rounds import QualityRounds, Unavailable  # noqa: E402
from support.quality_settings import SETTINGS  # noqa: E402

SCRATCH = hosted.ROOT / ".test" / "quality"


class Plan:
    """What is to be measured, and where it is kept."""

    def __init__(self, quick: bool):
        prompts, seeds, size = (8, 1, 4) if quick else (64, 2, 8)
        self.batches = picture_set.batches(prompts, seeds, size)
        self.timed_batches = 2 if quick else 4
        self.pictures = f"{prompts} prompts, {seeds} seed{'s' * (seeds > 1)}, batch {size}"
        self.conditions = picture_set.CONDITIONS[:1] if quick else picture_set.CONDITIONS
        self.folder = SCRATCH / "quick" if quick else stored.FOLDER / "quality"
        self.rows = SCRATCH / "quick_rows.jsonl" if quick else stored.FOLDER / "quality_rows.jsonl"
        self.sources = sorted({source for batch in self.batches for source in batch.sources})


def available(rounds: QualityRounds, plan: Plan) -> tuple[list, list[dict]]:
    """Settings that this build knows, and what it says of the others."""
    known, refused = [], []
    for setting in SETTINGS:
        try:
            for condition in plan.conditions:
                rounds.check(setting, condition)
            known.append(setting)
        except Unavailable as refusal:
            refused.append({"method": setting.method, "label": setting.label, "refusal": str(refusal)})
    return known, refused


def measure_cells(rounds: QualityRounds, plan: Plan, cells: Cells, settings: list, options):
    """Measures what is not there yet of the chosen part, batch by batch, for about `options.minutes`."""
    deadline = time.monotonic() + 60.0 * options.minutes
    part = {"timed": range(plan.timed_batches), "untimed": range(plan.timed_batches, len(plan.batches)),
            "all": range(len(plan.batches))}[options.part]
    for condition in plan.conditions:
        if options.conditions and condition.name not in options.conditions:
            continue
        keys = {setting: Key.of(condition, setting, plan.pictures) for setting in settings}
        for number in part:
            timed = number < plan.timed_batches
            # Times of two machines make no cell, so another one measures the timed batches anew.
            device = measure.device_name() if timed else ""
            left = [setting for setting in settings if not cells.has(keys[setting], number, device)]
            if not left:
                continue
            if time.monotonic() > deadline:
                return
            for setting, figures in rounds.measure(condition, plan.batches[number], left, timed, plan.sources,
                                                   deadline):
                cells.add(keys[setting], number, figures)
                cells.settle(keys[setting], len(plan.batches))
                speed = f"{figures['native_s'] / figures['seconds']:.2f}x, " if timed else ""
                print(f"{condition.name}, batch {number + 1} of {len(plan.batches)}, {setting.method} {setting.label}: "
                      f"{speed}{sum(figures['psnr']) / len(figures['psnr']):.2f} dB", flush=True)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small part, kept in the scratch folder")
    parser.add_argument("--missing", action="store_true", help="only what has no stored cell")
    parser.add_argument("--from-stored", action="store_true", help="measure nothing, judge what is stored")
    parser.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="measure these methods alone")
    parser.add_argument("--conditions", nargs="+", default=[], choices=[one.name for one in picture_set.CONDITIONS],
                        metavar="NAME", help="measure these alone, such as euler-20-text")
    parser.add_argument("--part", choices=["all", "timed", "untimed"], default="all", help="batches to measure")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about so long")
    arguments.add_device(parser)
    return parser.parse_args()


def main():
    options = parse_options()
    # On a GPU as on a CPU, so that pictures of both can stand in one cell.
    full_precision = ["--force-fp32"] if options.device == "cuda" else []
    hosted.start_host("--use-pytorch-cross-attention", *full_precision, device=options.device)
    torch.backends.cudnn.allow_tf32 = False
    plan = Plan(options.quick)
    cells = Cells(plan.folder, plan.rows, afresh=not (options.missing or options.from_stored))
    rounds = QualityRounds(hosted.load_pack())
    known, refused = available(rounds, plan)
    for one in refused:
        print(f"not available: {one['method']} {one['label']}: {one['refusal']}", flush=True)
    if not options.from_stored:
        chosen = [setting for setting in known if not options.methods or setting.method in options.methods]
        measure_cells(rounds, plan, cells, chosen, options)
    wanted = [Key.of(condition, setting, plan.pictures) for condition in plan.conditions for setting in known]
    for key in wanted:
        cells.settle(key, len(plan.batches))  # where several processes measured its batches
    found = [cells.complete[key] for key in wanted if key in cells.complete]
    verdict = quality_gains.verdict(found)
    if options.quick:
        print(tables.quality_settings(found))
    holds = verdict.pop("enough") and len(found) == len(wanted) and not refused
    print(json.dumps({"benchmark": "quality", "quick": options.quick, "pictures": plan.pictures, "holds": holds,
                      **verdict, "missing_cells": len(wanted) - len(found), "not_available": refused,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
