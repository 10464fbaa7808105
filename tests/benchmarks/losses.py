"""Makes the table of losses that the dial `speed` plans by (docs/speed.md): what evaluations of the model of scenes
miss that inherit, site by site, age by age, at the inputs of runs without inheritance. Writes
python_glue/host/losses.json with --write.

Forecasts are measured against held values, in the same places. How misses are carried to the end of a run is measured
by the benchmark "carries"; what that found stays as it is in the table.
"""

import itertools
import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import hosted, measure  # noqa: E402
from support.demo_model import CFG  # noqa: E402
from support.loss_file import put, started  # noqa: E402
from support.scenes_model import UNET  # noqa: E402
from support.teacher_forcing import Trajectory  # noqa: E402

RUNS = (("euler", 20, "normal"), ("dpmpp_2m", 20, "karras"))
NOISY_RUNS = (("euler_ancestral", 18, "normal"), ("dpmpp_2m_sde", 18, "karras"), ("dpmpp_sde", 10, "normal"))
CUTS = ("out", "out.10", "out.9", "out.8", "out.7", "out.6", "out.4", "out.2")
OUTPUT_BLOCKS = 12
AGES, NOISY_AGES = 5, 2
FORECAST_CUTS, FORECAST_PERIODS = ("out", "out.10", "out.8", "out.6"), (2, 3, 5)
LN_SIGMA = (-3.0, -1.5, -0.75, 0.0, 0.75, 1.5, 2.0, 2.6)
SMOOTHING = 0.3  # of a level against its neighbours, where few misses lie between two noise levels
SHOWING = 1.5  # times what drift alone makes: where a miss is more, new noise shows in it


def depth_of(cut: str) -> float:
    return 0.0 if cut == "out" else (OUTPUT_BLOCKS - 1 - int(cut.removeprefix("out."))) / OUTPUT_BLOCKS


def measured(demo, pack, prompts: list[str], runs: tuple, ages: int) -> dict[str, list[tuple]]:
    """cut -> [(ln sigma, ln of its gap to the last computed one, ln miss, what was drawn anew since)]."""
    found = {cut: [] for cut in CUTS}
    for sampler, steps, scheduler in runs:
        trajectory = Trajectory(pack, demo, sampler, steps, scheduler, prompts)
        renewed = trajectory.renewed()
        for cut in CUTS:
            for first in range(ages + 1):
                for index, (before, *_), miss in trajectory.misses(cut, first, ages + 1):
                    ln, ln_before = (math.log(max(trajectory.sigmas[i], 0.02)) for i in (index, before))
                    found[cut].append((ln, math.log(ln_before - ln), math.log(miss + 1e-9), renewed[index][before]))
            print(f"{sampler} {steps} {scheduler}, {cut}: {len(found[cut])} misses", file=sys.stderr, flush=True)
    return found


def forecast_shares(demo, pack, prompts: list[str]) -> tuple[dict, float]:
    """({"forecast_ratio", "forecast_power"}: what forecasts miss of what held values do, by the ln(sigma) between an
    evaluation and the older of the two values that its forecast is made from; the dB that it scatters)."""
    spans, shares = [], []
    for run in RUNS:
        trajectory = Trajectory(pack, demo, *run, prompts)
        ln_sigmas = [math.log(max(sigma, 0.02)) for sigma in trajectory.sigmas]
        for cut, period, first in itertools.product(FORECAST_CUTS, FORECAST_PERIODS, (0, 1)):
            held, forecast = (trajectory.misses(cut, first, period, value) for value in ("hold", "taylor1"))
            for (index, before, of_held), (_, _, of_forecast) in zip(list(held), list(forecast), strict=True):
                if len(before) > 1:
                    spans.append(math.log(ln_sigmas[before[1]] - ln_sigmas[index]))
                    shares.append(math.log(of_forecast / of_held))
        print(f"{' '.join(map(str, run))}: {len(shares)} forecasts", file=sys.stderr, flush=True)
    rows, values = (torch.tensor(found, dtype=torch.float64) for found in (spans, shares))
    rows = torch.stack([torch.ones_like(rows), rows], 1)
    found = torch.linalg.lstsq(rows, values).solution
    scatter = 20 / math.log(10) * (rows @ found - values).std().item()
    return {"forecast_ratio": round(math.exp(found[0]), 3), "forecast_power": round(found[1].item(), 3)}, scatter


def _between_knots(ln: torch.Tensor) -> torch.Tensor:
    """[misses, knots]: the weights by which a level at `ln` lies between those at LN_SIGMA."""
    knots = torch.tensor(LN_SIGMA, dtype=torch.float64)
    low = (torch.searchsorted(knots, ln) - 1).clamp(0, len(knots) - 2)
    share = ((ln - knots[low]) / (knots[low + 1] - knots[low])).clamp(0, 1)
    rows = torch.zeros(len(ln), len(knots), dtype=torch.float64)
    rows.scatter_(1, low[:, None], (1 - share)[:, None])
    return rows.scatter_(1, low[:, None] + 1, share[:, None])


def _least_squares(rows: torch.Tensor, values: torch.Tensor) -> tuple[list[float], float]:
    """(what of `rows` [misses, knots and more] gives `values`, dB that these scatter around it); levels are smooth."""
    bends = torch.zeros(len(LN_SIGMA) - 2, rows.shape[1], dtype=torch.float64)
    for index in range(len(bends)):
        bends[index, index:index + 3] = torch.tensor([1.0, -2.0, 1.0]) * SMOOTHING
    found = torch.linalg.lstsq(torch.cat([rows, bends]), torch.cat([values, torch.zeros(len(bends))]), driver="gelsd")
    scatter = 20 / math.log(10) * (rows @ found.solution - values).std().item()
    return [round(value, 3) for value in found.solution.tolist()], scatter


def fitted(misses: list[tuple], noisy: list[tuple]) -> tuple[dict, dict]:
    """({"power", "ln_level", "ln_renewal_level"}, dB that misses without and with new noise scatter around them)."""
    ln, gap, miss, _ = torch.tensor(misses, dtype=torch.float64).T.contiguous()
    (*ln_level, power), drift_scatter = _least_squares(torch.cat([_between_knots(ln), gap[:, None]], 1), miss)
    ln, gap, miss, renewed = torch.tensor(noisy, dtype=torch.float64).T.contiguous()
    drifted = _between_knots(ln) @ torch.tensor(ln_level, dtype=torch.float64) + power * gap
    shows = (miss > drifted + math.log(SHOWING)) & (renewed > 0.1)
    drawn = 0.5 * torch.log(torch.exp(2 * miss) - torch.exp(2 * drifted)) - renewed.log()
    ln_renewal_level, scatter = _least_squares(_between_knots(ln[shows]), drawn[shows])
    return ({"power": power, "ln_level": ln_level, "ln_renewal_level": ln_renewal_level},
            {"drift": round(drift_scatter, 2), "renewal": round(scatter, 2)})


def main():
    options, pack, demo, prompts = started(__doc__, prompts=2)
    found = measured(demo, pack, prompts, RUNS, AGES)
    noisy = measured(demo, pack, prompts, NOISY_RUNS, NOISY_AGES)
    fits = {cut: fitted(found[cut], noisy[cut]) for cut in CUTS}
    runs = ", ".join(" ".join(map(str, run)) for run in RUNS + NOISY_RUNS)
    forecasts, forecast_scatter = forecast_shares(demo, pack, prompts)
    table = {"version": 4, **forecasts,
              "made_of": {"model": str(UNET.relative_to(hosted.ROOT)), "prompts": prompts, "cfg": CFG,
                          "runs": runs, "command": f"bash scripts/bench.sh losses --write --prompts {options.prompts}"},
              "ln_sigma": list(LN_SIGMA), "sites": [{"depth": round(depth_of(cut), 4), **fit}
                                                    for cut, (fit, _) in fits.items()]}
    if options.write:
        put(table)
    print(json.dumps({"benchmark": "losses", "misses": sum(map(len, [*found.values(), *noisy.values()])),
                      "scatter_db": {cut: scatter for cut, (_, scatter) in fits.items()},
                      "forecast_scatter_db": round(forecast_scatter, 2),
                      "machine": measure.machine()}))


if __name__ == "__main__":
    main()
