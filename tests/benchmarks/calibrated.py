"""Plans that ASDMCalibratePlan finds, against the dial `speed` at the same work, followed on other prompts and seeds
than they were found on. The axis is multiply-accumulates, which needs no quiet machine. Two models: the one of scenes,
which the dial's table of losses was made of, and the one of emoji, which stands for a model of the user's own. None of
the conditions, prompts and seeds went into what the node knows before it runs.
"""

import argparse
import json
import re
import statistics
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import demo_model, hosted, measure  # noqa: E402
from support.dial import Dial, start_of  # noqa: E402
from support.dial_conditions import DialCondition  # noqa: E402
from support.methods import run_node  # noqa: E402
from support.scenes_model import scenes_model  # noqa: E402

CONDITIONS = (
    DialCondition("euler", 20, "normal", 1.0, 4.0),
    DialCondition("dpmpp_2m", 20, "karras", 1.0, 4.0),
    DialCondition("euler_ancestral", 20, "normal", 1.0, 4.0),
    DialCondition("euler", 12, "normal", 0.5, 4.0),
)
SPEEDS = {"1.5x": 1.5, "2x": 2.0, "3x": 3.0}
SEED = 1
LEAST_GAIN, MEAN_GAIN = 0.0, 2.0  # dB
WORK_MARGIN = 0.05  # by which a plan may do more work than the dial
MODELS = {"scenes": lambda pack: scenes_model(pack, held_out=True), "emoji": demo_model.DemoModel}


def calibrated(pack, demo, dial: Dial, condition: DialCondition, target: float, options) -> dict:
    """What the node gives."""
    known, count, size = demo.prompts, options.calibrated_on, demo_model.LATENT
    prompts = [known[(61 * number + 40) % len(known)] for number in range(count)]
    start = torch.zeros(count, 4, size, size)
    if condition.denoise < 1.0:
        start = start_of(demo, dial.model, [61 * number + 90 for number in range(count)], 5)
    with torch.inference_mode():
        return run_node("ASDMCalibratePlan", pack, dial.model, {
            "positive": demo.conditioning(prompts), "negative": demo.conditioning([""] * count),
            "latent_image": {"samples": start}, "seed": SEED, "steps": condition.steps, "cfg": condition.cfg,
            "sampler_name": condition.sampler, "scheduler": condition.scheduler, "denoise": condition.denoise,
            "target_speedup": target, "effort": options.effort})


def rows_of(pack, name: str, demo, condition: DialCondition, options) -> list[dict]:
    dial, rows = Dial(pack, demo, replace(condition, pictures=options.pictures)), []
    for speed, target in SPEEDS.items():
        dialled = dial.ours(speed)  # which may do less than it was asked for
        found = calibrated(pack, demo, dial, condition, min(target, round(dialled.speed, 2)), options)
        plan = json.loads(found["outputs"][0])
        ours = dial.point(run_node("ASDMApplyPlan", pack, dial.model, {"plan": found["outputs"][0]})["outputs"][0])
        rows.append({"model": name, "condition": condition.name, "target": speed, "work": round(ours.speed, 3),
                     "speed_work": round(dialled.speed, 3), "psnr": round(ours.psnr, 2),
                     "speed_psnr": round(dialled.psnr, 2), "gain_db": round(ours.psnr - dialled.psnr, 2),
                     "runs": int(re.search(r"runs: (\d+)", found["ui_text"])[1]),
                     "as_fast": ours.speed >= dialled.speed * (1.0 - WORK_MARGIN), "found": found["ui_text"],
                     "sites": [entry["sites"] for entry in plan["evaluations"]]})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def mean(gains: list[float]) -> float:
    return round(statistics.fmean(gains), 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=4, help="that a plan is followed on, in one batch")
    parser.add_argument("--calibrated-on", type=int, default=4, help="pictures that a plan is found on")
    parser.add_argument("--effort", default="quick")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    rows = []
    for name, load in MODELS.items():
        demo = load(pack)
        rows += [row for condition in CONDITIONS for row in rows_of(pack, name, demo, condition, options)]
    gains = [row["gain_db"] for row in rows]
    by_model = {name: mean([row["gain_db"] for row in rows if row["model"] == name]) for name in MODELS}
    holds = min(gains) >= LEAST_GAIN and mean(gains) >= MEAN_GAIN and all(row["as_fast"] for row in rows)
    print(json.dumps({"benchmark": "calibrated", "effort": options.effort, "pictures": options.pictures,
                      "calibrated_on": options.calibrated_on, "holds": holds, "mean_gain_db": mean(gains),
                      "mean_gain_by_model_db": by_model, "least_gain_db": min(gains), "rows": rows,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
