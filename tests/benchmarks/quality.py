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
from results import tables  # noqa: E402
from support import arguments, hosted, measure, picture_set, quality_gains  # noqa: E402
from support.quality_cells import Cells, Key  # noqa: E402
from support.quality_rounds import QualityRounds, Unavailable  # noqa: E402
from support.quality_scope import Scope  # noqa: E402
from support.quality_settings import SETTINGS  # noqa: E402


def available(rounds: QualityRounds, scope: Scope) -> tuple[list, list[dict]]:
    """Settings that this build knows, and what it says of the others."""
    known, refused = [], []
    for setting in SETTINGS:
        try:
            for condition in scope.conditions:
                rounds.check(setting, condition)
            known.append(setting)
        except Unavailable as refusal:
            refused.append({"method": setting.method, "label": setting.label, "refusal": str(refusal)})
    return known, refused


def measure_cells(rounds: QualityRounds, scope: Scope, cells: Cells, settings: list, options):
    """Measures what is not there yet of the chosen part, batch by batch, for about `options.minutes`."""
    deadline = time.monotonic() + 60.0 * options.minutes
    part = {"timed": range(scope.timed_batches), "untimed": range(scope.timed_batches, len(scope.batches)),
            "all": range(len(scope.batches))}[options.part]
    for condition in scope.conditions:
        if options.conditions and condition.name not in options.conditions:
            continue
        keys = {setting: Key.of(condition, setting, scope.pictures) for setting in settings}
        for number in part:
            timed = number < scope.timed_batches
            # Times of two machines make no cell, so another one measures the timed batches anew.
            device = measure.device_name() if timed else ""
            left = [setting for setting in settings if not cells.has(keys[setting], number, device)]
            if not left:
                continue
            if time.monotonic() > deadline:
                return
            for setting, figures in rounds.measure(condition, scope.batches[number], left, timed, scope.sources,
                                                   deadline):
                cells.add(keys[setting], number, figures)
                cells.settle(keys[setting], len(scope.batches))
                speed = f"{figures['native_s'] / figures['seconds']:.2f}x, " if timed else ""
                place = f"{condition.name}, batch {number + 1} of {len(scope.batches)}"
                print(f"{place}, {setting.method} {setting.label}: {speed}"
                      f"{sum(figures['psnr']) / len(figures['psnr']):.2f} dB", flush=True)


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
    scope = Scope(options.quick)
    cells = Cells(scope.folder, scope.rows, afresh=not (options.missing or options.from_stored))
    rounds = QualityRounds(hosted.load_pack())
    known, refused = available(rounds, scope)
    for one in refused:
        print(f"not available: {one['method']} {one['label']}: {one['refusal']}", flush=True)
    if not options.from_stored:
        chosen = [setting for setting in known if not options.methods or setting.method in options.methods]
        measure_cells(rounds, scope, cells, chosen, options)
    wanted = [Key.of(condition, setting, scope.pictures) for condition in scope.conditions for setting in known]
    for key in wanted:
        cells.settle(key, len(scope.batches))  # where several processes measured its batches
    found = [cells.complete[key] for key in wanted if key in cells.complete]
    verdict = quality_gains.verdict(found)
    if options.quick:
        print(tables.quality_settings(found))
    holds = verdict.pop("enough") and len(found) == len(wanted) and not refused
    print(json.dumps({"benchmark": "quality", "quick": options.quick, "pictures": scope.pictures, "holds": holds,
                      **verdict, "missing_cells": len(wanted) - len(found), "not_available": refused,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
