"""How time and memory of the native engine grow with latent size, batch, threads and steps, beside the host's.

Holds where nothing of ours grows faster than the UNet itself: along each curve the exponent of the native time (its
slope over the swept quantity, both logarithmic) exceeds the host's by no more than a tolerance for the machine's noise.
"""

import json
import math
import statistics
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import arguments, competition, measure  # noqa: E402
from support.case import Case  # noqa: E402
from support.competition import Worker, known_competitors, known_samplers  # noqa: E402

CURVES = {"latent": [16, 32, 48, 64, 96, 128], "batch": [1, 2, 4, 8], "threads": [1, 2], "steps": [5, 10, 20, 40]}
# What stays fixed along the other curves: small enough that eight in a batch take seconds.
BASE_LATENT = 32
STEPS_LATENT = 16
TOLERANCE = 0.1
# More threads are no more work: how well they are used is shown, not bounded.
BOUNDED = ("latent", "batch", "steps")


def point(curve: str, value: int, case: Case, runs: dict[str, list[dict]]) -> dict:
    seconds = {name: [run["seconds"] for run in series] for name, series in runs.items()}
    pixels = case.latent**2 * case.batch * (value if curve == "steps" else 1)
    figures = {"curve": curve, "value": value, "latent": case.latent, "batch": case.batch, "threads": case.threads}
    for name, series in seconds.items():
        figures[name] = {**measure.summary(series), "seconds_per_pixel": measure.median(series) / pixels,
                         "peak_rss_bytes": max(run["peak_rss_bytes"] or 0 for run in runs[name])}
    return {**figures, "native_over_host": measure.median_ratio(seconds["native"], seconds["host"])}


def shown(row: dict) -> dict:
    print(json.dumps(row), flush=True)
    return row


def forward_curves(curves: list[str], case: Case, rounds: int) -> list[dict]:
    """Points of the curves over one forward. The workers stay and change their inputs."""
    known = known_competitors(case.device)
    rows = []
    with Worker(known["host"], case.threads) as host, Worker(known["native"], case.threads) as native:
        workers = {"host": host, "native": native}
        for curve in curves:
            for value in CURVES[curve]:
                if curve == "latent":
                    now = replace(case, latent=value)
                else:
                    now = replace(case, latent=min(BASE_LATENT, case.latent), **{curve: value})
                for worker in workers.values():
                    worker.prepare(now)
                    worker.run()
                runs = competition.take_turns({name: worker.run for name, worker in workers.items()}, rounds)
                rows.append(shown(point(curve, value, now, runs)))
    return rows


def steps_curve(case: Case, rounds: int) -> list[dict]:
    """Whole samplings; small, so that what is done once per step or run weighs most."""
    now = replace(case, latent=STEPS_LATENT)
    rows = []
    with Worker(known_samplers(case.device)["hosted"], case.threads) as worker:
        worker.prepare(now)
        for steps in CURVES["steps"]:
            turns = {way: lambda way=way, steps=steps: worker.run(way=way, steps=steps)
                     for way in ("host", "native", "inheriting")}
            for turn in turns.values():
                turn()
            rows.append(shown(point("steps", steps, now, competition.take_turns(turns, rounds))))
    return rows


def exponent(points: list[dict], name: str) -> float:
    """Least-squares slope of log time over log value."""
    x = [math.log(p["value"]) for p in points]
    y = [math.log(p[name]["median_s"]) for p in points]
    return statistics.linear_regression(x, y).slope


def growth(rows: list[dict]) -> dict:
    """Exponents by curve. Of the latent's size only those points where it is not drowned by what every call costs."""
    found = {}
    for curve in CURVES:
        points = [row for row in rows if row["curve"] == curve and (curve != "latent" or row["value"] >= BASE_LATENT)]
        if len(points) >= 2:
            native, host = exponent(points, "native"), exponent(points, "host")
            found[curve] = {"native": native, "host": host,
                            "holds": curve not in BOUNDED or native <= host + TOLERANCE}
    return found


def main():
    parser = arguments.model_parser(__doc__)
    arguments.add_dtype(parser)
    parser.add_argument("--curves", nargs="+", choices=list(CURVES), default=list(CURVES))
    parser.add_argument("--largest", type=int, default=max(CURVES["latent"]), help="largest latent")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    CURVES["latent"] = [size for size in CURVES["latent"] if size <= options.largest]
    case = Case(options.model, options.width, options.dtype, options.largest, 2, torch.get_num_threads(),
                options.device)
    rows = forward_curves([curve for curve in options.curves if curve != "steps"], case, options.rounds)
    if "steps" in options.curves:
        rows += steps_curve(case, options.rounds)
    exponents = growth(rows)
    holds = all(curve["holds"] for curve in exponents.values())
    print(json.dumps({"benchmark": "scale", "model": options.model, "dtype": options.dtype, "holds": holds,
                      "tolerance": TOLERANCE, "exponents": exponents, "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
