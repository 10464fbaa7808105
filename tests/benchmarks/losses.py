"""Makes the table of losses that the dial `speed` plans by (docs/speed.md): what evaluations miss that inherit, site by
site, age by age, at the inputs of runs without inheritance. Writes python_glue/host/losses.json with --write.

The constants that no miss shows (how misses are carried on) stay as they are in the table.
"""

import argparse
import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import hosted, measure  # noqa: E402
from support.demo_model import CFG, DemoModel, captions  # noqa: E402
from support.teacher_forcing import Trajectory  # noqa: E402

TABLE = hosted.ROOT / "python_glue" / "host" / "losses.json"
RUNS = (("euler", 20, "normal"), ("dpmpp_2m", 20, "karras"))
CUTS = ("out", "out.10", "out.9", "out.8", "out.7", "out.6", "out.4", "out.2")
OUTPUT_BLOCKS = 12
AGES = 5
LN_SIGMA = (-3.0, -1.5, -0.75, 0.0, 0.75, 1.5, 2.0, 2.6)
SMOOTHING = 0.3  # of a level against its neighbours, where few misses lie between two noise levels


def depth_of(cut: str) -> float:
    return 0.0 if cut == "out" else (OUTPUT_BLOCKS - 1 - int(cut.removeprefix("out."))) / OUTPUT_BLOCKS


def measured(demo, pack, prompts: list[str]) -> dict[str, list[tuple[float, float, float]]]:
    """cut -> [(ln sigma, ln of its gap to the last computed one, ln miss)]."""
    found = {cut: [] for cut in CUTS}
    for sampler, steps, scheduler in RUNS:
        trajectory = Trajectory(pack, demo, sampler, steps, scheduler, prompts)
        for cut in CUTS:
            for first in range(AGES + 1):
                for index, before, miss in trajectory.misses(cut, first, AGES + 1):
                    ln, ln_before = (math.log(max(trajectory.sigmas[i], 0.02)) for i in (index, before))
                    found[cut].append((ln, math.log(ln_before - ln), math.log(miss + 1e-9)))
            print(f"{sampler} {steps} {scheduler}, {cut}: {len(found[cut])} misses", file=sys.stderr, flush=True)
    return found


def fitted(misses: list[tuple[float, float, float]]) -> tuple[dict, float]:
    """({"power", "ln_level"}, dB that misses scatter around them), by least squares."""
    knots = torch.tensor(LN_SIGMA, dtype=torch.float64)
    ln, gap, miss = torch.tensor(misses, dtype=torch.float64).T
    low = (torch.searchsorted(knots, ln) - 1).clamp(0, len(knots) - 2)
    share = ((ln - knots[low]) / (knots[low + 1] - knots[low])).clamp(0, 1)
    rows = torch.zeros(len(ln), len(knots) + 1, dtype=torch.float64)
    rows.scatter_(1, low[:, None], (1 - share)[:, None])
    rows.scatter_(1, low[:, None] + 1, share[:, None])
    rows[:, -1] = gap
    bends = torch.zeros(len(knots) - 2, len(knots) + 1, dtype=torch.float64)
    for index in range(len(bends)):
        bends[index, index:index + 3] = torch.tensor([1.0, -2.0, 1.0]) * SMOOTHING
    found = torch.linalg.lstsq(torch.cat([rows, bends]), torch.cat([miss, torch.zeros(len(bends))]), driver="gelsd")
    levels = found.solution
    scatter = 20 / math.log(10) * (rows @ levels - miss).std().item()
    *ln_level, power = (round(value, 3) for value in levels.tolist())
    return {"power": power, "ln_level": ln_level}, scatter


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table in its place")
    parser.add_argument("--prompts", type=int, default=2, help="captions of the demo's to sample")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    known = captions()
    prompts = [known[number * len(known) // options.prompts + 5] for number in range(options.prompts)]
    found = measured(DemoModel(pack), pack, prompts)
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    fits = {cut: fitted(misses) for cut, misses in found.items()}
    runs = ", ".join(" ".join(map(str, run)) for run in RUNS)
    table |= {"made_of": {"model": "demo/weights/asdm_demo_unet.safetensors", "prompts": prompts, "cfg": CFG,
                          "runs": runs, "command": f"bash scripts/bench.sh losses --write --prompts {options.prompts}"},
              "ln_sigma": list(LN_SIGMA), "sites": [{"depth": round(depth_of(cut), 4), **fit}
                                                    for cut, (fit, _) in fits.items()]}
    if options.write:
        TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "losses", "misses": sum(map(len, found.values())),
                      "scatter_db": {cut: round(scatter, 2) for cut, (_, scatter) in fits.items()},
                      "machine": measure.machine()}))


if __name__ == "__main__":
    main()
