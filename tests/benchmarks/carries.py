"""Measures what of a miss in one evaluation is in the final latents (docs/speed.md): of runs of the model of scenes in
which one evaluation alone inherits. Puts the constants that explain it into python_glue/host/losses.json with --write.

spread, pull, lasting: those of a grid by which what the dial expects of the sampler (`expected`) lies closest to what
arrives. peak: the range of the final latents, which predicted decibels refer to. reach, kinship: how alike what arrives
of two evaluations is, and of two cuts in one evaluation.
"""

import itertools
import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import measure  # noqa: E402
from support.demo_model import CFG  # noqa: E402
from support.loss_file import put, started  # noqa: E402
from support.teacher_forcing import Trajectory, root_of  # noqa: E402

RUNS = (("euler", 16, "normal"), ("dpmpp_2m", 16, "karras"), ("uni_pc", 16, "normal"), ("heun", 9, "normal"),
        ("res_multistep", 16, "beta"), ("euler_ancestral", 16, "normal"), ("dpmpp_2m", 20, "normal"),
        ("res_multistep", 16, "normal"))  # the last two extrapolate over a long last step
LIKENED = RUNS[:2]  # in which the directions of what arrives are compared
CUT, OTHER_CUT = "out.8", "out.10"
SPREADS, PULLS = (0.25, 0.35, 0.5, 0.7, 1.0), (0.0, 0.03, 0.06, 0.1, 0.15)  # latents have a deviation of 1 in all
LASTINGS = tuple(round(0.01 * hundredths, 2) for hundredths in range(1, 31))
REACHES = tuple(round(0.05 * steps, 2) for steps in range(1, 41))
NEIGHBOURS = 1.5  # in ln(sigma): misses further apart than this are not alike
LEAST_SIGMA = 0.01


def slope_of(spread: float, pull: float):
    """The denoiser's that the dial expects (python_glue/host/speed.py)."""
    return lambda sigma: 1.0 - sigma ** 2 / (sigma ** 2 + spread ** 2) * (1.0 + pull * (CFG - 1.0))


def decibels_off(expected: torch.Tensor, arrived: torch.Tensor) -> torch.Tensor:
    return 20 * torch.log10(expected / arrived)


def closest(trajectories: list, arrivals: list) -> tuple[dict, dict]:
    """({"spread", "pull", "lasting"}, {"scatter_db", "bias_db"} of what is expected with them)."""
    arrived = torch.cat([torch.tensor([root_of(left) / root_of(miss) for _, miss, left in rows]) for rows in arrivals])
    tried = []
    for spread, pull in itertools.product(SPREADS, PULLS):
        expected = []
        for trajectory, rows in zip(trajectories, arrivals, strict=True):
            evaluations = trajectory.carried(slope_of(spread, pull))
            expected += [evaluations[index][1] for index, *_ in rows]
        for lasting in LASTINGS:
            off = decibels_off(torch.tensor(expected).hypot(torch.tensor(lasting)), arrived)
            tried.append((off.square().mean().sqrt().item(), off.mean().item(), spread, pull, lasting))
    scatter, bias, spread, pull, lasting = min(tried)
    return ({"spread": spread, "pull": pull, "lasting": lasting},
            {"scatter_db": round(scatter, 2), "bias_db": round(bias, 2)})


def directions(rows: list) -> torch.Tensor:
    """[evaluations, numbers], each of length 1."""
    return torch.nn.functional.normalize(torch.stack([left.flatten() for *_, left in rows]), dim=1)


def likeness(trajectories: list, arrivals: list, others: list) -> dict:
    """{"reach", "kinship"}. `others`: arrivals of the same runs by the other cut."""
    apart, alike, kin = [], [], []
    for trajectory, rows, other in zip(trajectories, arrivals, others, strict=True):
        found = directions(rows)
        places = [math.log(max(trajectory.sigmas[index], LEAST_SIGMA)) for index, *_ in rows]
        for i, j in itertools.combinations(range(len(rows)), 2):
            if abs(places[i] - places[j]) < NEIGHBOURS:
                apart.append(abs(places[i] - places[j]))
                alike.append((found[i] @ found[j]).item())
        kin += (found * directions(other)).sum(dim=1).tolist()
    apart, alike = torch.tensor(apart), torch.tensor(alike)
    reach = min(REACHES, key=lambda reach: (torch.exp(-apart / reach) - alike).square().sum().item())
    return {"reach": reach, "kinship": round(sum(kin) / len(kin), 2)}


def main():
    options, pack, demo, prompts = started(__doc__, prompts=3)
    trajectories, arrivals = [], []
    for run in RUNS:
        trajectories.append(Trajectory(pack, demo, *run, prompts))
        arrivals.append(list(trajectories[-1].arrivals(CUT)))
        print(f"{' '.join(map(str, run))}: {len(arrivals[-1])} misses", file=sys.stderr, flush=True)
    others = [list(trajectory.arrivals(OTHER_CUT)) for trajectory in trajectories[:len(LIKENED)]]
    constants, off = closest(trajectories, arrivals)
    constants["peak"] = round(torch.cat([trajectory.peaks for trajectory in trajectories]).mean().item(), 1)
    constants |= likeness(trajectories[:len(LIKENED)], arrivals[:len(LIKENED)], others)
    if options.write:
        put(constants)
    print(json.dumps({"benchmark": "carries", "misses": sum(map(len, arrivals)), **constants, **off,
                      "machine": measure.machine()}))


if __name__ == "__main__":
    main()
