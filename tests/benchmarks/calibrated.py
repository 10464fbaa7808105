"""Plans that ASDMCalibratePlan finds, against the settings of the benchmark `quality` at equal speed: on the demo
model, 20 steps of euler and dpmpp_2m, text-to-image. A plan is found on four pictures and followed on those that
`quality` times, which are others.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import arguments, demo_model, hosted, measure, picture_set  # noqa: E402
from support.frontier import Point, psnr_at  # noqa: E402
from support.methods import CALIBRATED  # noqa: E402
from support.quality_rounds import QualityRounds  # noqa: E402
from support.quality_scope import Scope  # noqa: E402
from support.quality_settings import OURS, Setting  # noqa: E402
from support.timed_settings import measured  # noqa: E402

TARGETS = (1.5, 2.0, 3.0)
CALIBRATED_ON = 4  # pictures
SEED = 1


def calibrate(rounds: QualityRounds, condition, batch, target: float) -> tuple[Setting, dict]:
    """The plan as a setting, and what finding it took."""
    prompts = batch.prompts[:CALIBRATED_ON]
    size = demo_model.LATENT
    started = time.perf_counter()
    outputs = rounds.execute("ASDMCalibratePlan", {
        "positive": rounds.demo.conditioning(prompts), "negative": rounds.demo.conditioning([""] * len(prompts)),
        "latent_image": {"samples": torch.zeros(len(prompts), 4, size, size)}, "seed": SEED, "steps": condition.steps,
        "cfg": demo_model.CFG, "sampler_name": condition.sampler, "scheduler": demo_model.SCHEDULER,
        "target_speedup": target})
    seconds = time.perf_counter() - started
    return Setting(CALIBRATED, f"{target:g}x", {"plan": outputs["outputs"][0]}), {
        "target": target, "found": outputs["ui_text"], "calibration_seconds": round(seconds, 2)}


def full_evaluations(plan: str) -> int:
    return sum(not entry["sites"] for entry in json.loads(plan)["evaluations"])


def rows_of(rounds: QualityRounds, scope: Scope, condition, numbers: range) -> list[dict]:
    """One for each target; `gain_db`: over the frontier of the settings of `quality` at the plan's speed, None beyond
    their fastest."""
    calibrated = dict(calibrate(rounds, condition, scope.batches[-1], target) for target in TARGETS)
    found = measured(rounds, scope, condition, numbers, list(calibrated))
    known = [Point(one["speedup"], one["psnr"]) for setting, one in found.items() if setting.method == OURS]
    rows = []
    for setting, how in calibrated.items():
        edge = psnr_at(known, found[setting]["speedup"])
        rows.append({"condition": condition.name, **how, **found[setting],
                     "gain_db": None if edge is None else round(found[setting]["psnr"] - edge, 3),
                     "full": full_evaluations(setting.inputs["plan"]), "plan": json.loads(setting.inputs["plan"])})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    arguments.add_device(parser)
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    rounds, scope = QualityRounds(hosted.load_pack()), Scope()
    rows = []
    for condition in picture_set.SHORT_TEXT:
        rows += rows_of(rounds, scope, condition, range(scope.timed_batches))
        print(json.dumps([row for row in rows if row["condition"] == condition.name]), flush=True)
    gains = [row["gain_db"] for row in rows if row["gain_db"] is not None]
    mean = sum(gains) / len(gains) if gains else None
    holds = mean is not None and mean > 0.0
    print(json.dumps({"benchmark": "calibrated", "pictures": rows[0]["count"], "calibrated_on": CALIBRATED_ON,
                      "device": options.device, "holds": holds, "mean_gain_db": mean and round(mean, 3), "rows": rows,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
