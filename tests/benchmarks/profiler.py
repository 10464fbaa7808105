"""Where a forward of the native engine goes, by address: time, multiply-accumulates, GFLOP/s, and the share of its time
that the floor would take (1: as fast as the fastest convolution measured beside it).
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import arguments, competition, measure  # noqa: E402
from support.case import Case  # noqa: E402
from support.competition import Competitor, Worker, known_competitors  # noqa: E402

# A unit, by the end of its address, and the kind that counts what its layer does besides.
UNITS = {r"attn\.\d+\.(attn1|attn2|ff)": "proj", r"res\d*\.conv": "res"}


def around_unit(address: str) -> str | None:
    return next((kind for pattern, kind in UNITS.items() if re.search(rf"\.{pattern}$", address)), None)


def level_of(address: str) -> str:
    parts = address.split(".")
    if around_unit(address):
        return "unit"
    return "block" if address in ("mid", "out") or (len(parts) == 2 and parts[0] in ("in", "out")) else "layer"


def kind_of(address: str) -> str:
    """What sort of part this is: "res", "ff", "up"; layers of one kind are numbered only in "mid"."""
    return re.sub(r"(?<=res)\d+$", "", address.split(".")[-1])


def figures(seconds: float, macs: int, total: float, flops: float) -> dict:
    floor = 2 * macs / flops
    return {"seconds": seconds, "share_of_time": seconds / total, "macs": macs,
            "gflops": 2 * macs / seconds / 1e9 if seconds else 0.0, "floor_share": floor / seconds if seconds else 0.0}


def by_address(seconds: dict[str, float], macs: dict[str, int], total: float, flops: float) -> list[dict]:
    """Rows of blocks, layers and units, in evaluation order."""
    return [{"address": address, "level": level_of(address), **figures(seconds[address], count, total, flops)}
            for address, count in macs.items()]


def by_kind(rows: list[dict], total: float, flops: float) -> list[dict]:
    """Sums over the parts that hold no other part, and what is left of the whole. "proj" is what a transformer does
    around its units, "res" what a ResBlock does behind its unit "conv"."""
    sums = {}

    def add(kind: str, seconds: float, macs: int):
        so_far = sums.setdefault(kind, [0.0, 0])
        so_far[0] += seconds
        so_far[1] += macs

    for row in rows:
        transformer = row["level"] == "layer" and kind_of(row["address"]) == "attn"
        if row["address"] == "out":
            add("out", row["seconds"], row["macs"])
        elif row["level"] != "block":
            add("proj" if transformer else kind_of(row["address"]), row["seconds"], row["macs"])
        if row["level"] == "unit":
            add(around_unit(row["address"]), -row["seconds"], -row["macs"])
    add("rest", total - sum(seconds for seconds, _ in sums.values()), 0)
    found = [{"kind": kind, **figures(seconds, macs, total, flops)} for kind, (seconds, macs) in sums.items()]
    return sorted(found, key=lambda row: -row["seconds"])


def print_table(rows: list[dict], name: str):
    print(f"{name:24} {'ms':>9} {'time':>7} {'GMACs':>9} {'GFLOP/s':>9} {'floor':>7}")
    for row in rows:
        print(f"{row[name]:24} {row['seconds'] * 1e3:9.1f} {row['share_of_time']:7.1%} {row['macs'] / 1e9:9.2f} "
              f"{row['gflops']:9.1f} {row['floor_share']:7.0%}")


def profile(case: Case, rounds: int) -> dict:
    watched = Competitor("profiled", "profiled_unet.py", (case.device,))
    with (Worker(watched, case.threads) as engine,
          Worker(known_competitors(case.device)["convolution"], case.threads) as convolution):
        macs = engine.prepare(case)["address_macs"]
        convolution.prepare(case)
        engine.run(way="plain")
        turns = {"plain": lambda: engine.run(way="plain"), "watched": lambda: engine.run(way="watched"),
                 "convolution": convolution.run}
        runs = competition.take_turns(turns, rounds)
    seconds = {address: measure.median([run["seconds_by_address"][address] for run in runs["watched"]])
               for address in macs}
    plain, total = (measure.median([run["seconds"] for run in runs[way]]) for way in ("plain", "watched"))
    flops = measure.median([run["flops"] for run in runs["convolution"]])
    rows = by_address(seconds, macs, total, flops)
    return {"seconds": total, "watched_over_plain": total / plain, "convolution_flops": flops,
            "kinds": by_kind(rows, total, flops), "rows": rows}


def main():
    parser = arguments.model_parser(__doc__)
    arguments.add_dtype(parser)
    parser.add_argument("--latent", type=int, default=64, help="latent height and width")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    case = Case(options.model, options.width, options.dtype, options.latent, options.batch, options.threads,
                options.device)
    result = profile(case, options.rounds)
    print_table(result["rows"], "address")
    print_table(result["kinds"], "kind")
    # Nothing is bounded here but the account itself: the parts make up the whole.
    rest = next(row for row in result["kinds"] if row["kind"] == "rest")
    holds = 0 <= rest["share_of_time"] < 0.1
    print(json.dumps({"benchmark": "profiler", "model": case.model, "dtype": case.dtype, "latent": case.latent,
                      "batch": case.batch, "threads": case.threads, "holds": holds, **result,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
