"""Peers that do another job than one forward of the host's UNet: DeepCache, which skips the same blocks in diffusers;
stable-diffusion.cpp, which samples a checkpoint; and torch.compile of the host's UNet.

What is compared: DeepCache's speed-up over diffusers' own UNet with ours over the native engine, at the same interval
and cut; seconds of a step of stable-diffusion.cpp, a forward of cond and one of uncond, with one forward of batch 2.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import comparison, competition, measure  # noqa: E402
from support.case import Case  # noqa: E402
from support.competition import Worker, known_competitors, known_samplers  # noqa: E402

ROWS = ("deepcache", "stable_diffusion_cpp", "compile")


def deepcache_row(case: Case, rounds: int, steps: int) -> dict:
    samplers = known_samplers(case.device)
    with Worker(samplers["hosted"], case.threads) as ours, Worker(samplers["diffusers"], case.threads) as theirs:
        ours.prepare(case)
        facts = theirs.prepare(case)
        ways = {"native": (ours, "native"), "inheriting": (ours, "inheriting"),
                "diffusers": (theirs, "full"), "deepcache": (theirs, "deepcache")}
        for worker, way in ways.values():
            worker.run(way=way, steps=2)
        runs = competition.take_turns(
            {name: lambda w=worker, way=way: w.run(way=way, steps=steps) for name, (worker, way) in ways.items()},
            rounds)
    seconds = {name: [run["seconds"] for run in series] for name, series in runs.items()}
    return {**{name: measure.summary(series) for name, series in seconds.items()}, "steps": steps,
            "our_speedup": measure.median_ratio(seconds["native"], seconds["inheriting"]),
            "deepcache_speedup": measure.median_ratio(seconds["diffusers"], seconds["deepcache"]),
            "inheriting_over_deepcache": measure.median_ratio(seconds["inheriting"], seconds["deepcache"]),
            "predicted_speedup": 1 / runs["inheriting"][-1]["mac_share"], "version": facts["version"]}


def stable_diffusion_cpp_row(case: Case, rounds: int, steps: int) -> dict:
    with (Worker(known_competitors(case.device)["native"], case.threads) as ours,
          Worker(known_samplers(case.device)["stable_diffusion_cpp"], case.threads) as theirs):
        ours.prepare(case)
        facts = theirs.prepare(case)
        ours.run()
        runs = competition.take_turns({"native": ours.run, "stable_diffusion_cpp": lambda: theirs.run(steps=steps)},
                                      rounds)
    seconds = {name: [run["seconds"] for run in series] for name, series in runs.items()}
    return {**{name: measure.summary(series) for name, series in seconds.items()}, "version": facts["version"],
            "native_over_stable_diffusion_cpp": measure.median_ratio(*seconds.values())}


def compile_row(case: Case, rounds: int) -> dict:
    known = known_competitors(case.device)
    names = ("host", "native", "compile")
    outcomes = competition.compete([known[name] for name in names], [case], rounds, names)[case]
    return comparison.compared(case, outcomes)


def measure_row(peer: str, case: Case, options) -> dict:
    if peer == "deepcache":
        row = deepcache_row(case, options.rounds, options.steps)
    elif peer == "stable_diffusion_cpp":
        row = stable_diffusion_cpp_row(case, min(2, options.rounds), steps=3)
    else:
        row = compile_row(case, min(2, options.rounds))
    row = {"peer": peer, "dtype": case.dtype, "latent": case.latent, "batch": case.batch, "threads": case.threads,
           **row}
    print(json.dumps(row), flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--dtypes", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--width", type=int, default=0, help="model channels; 0: as published")
    parser.add_argument("--latent", type=int, default=64, help="latent height and width")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="steps of a sampling with and without DeepCache")
    options = parser.parse_args()
    rows = [measure_row(peer, Case("sd15", options.width, dtype, options.latent, 2, options.threads), options)
            for peer in options.peers for dtype in options.dtypes]
    holds = all(row.get("our_speedup", 1.0) >= 1.0 for row in rows)
    print(json.dumps({"benchmark": "peers", "model": "sd15", "holds": holds, "rows": rows,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
