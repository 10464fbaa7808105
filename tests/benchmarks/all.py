"""Runs every measurement of results/plan.py, stores each result under docs/benchmarks and writes docs/benchmarks.md and
the README's table of hosts.

A measurement that fails or is interrupted leaves the stored result that it had. --from-stored only writes the page.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from results import page, stored  # noqa: E402
from results.plan import PLAN, Measurement  # noqa: E402

HERE = Path(__file__).resolve().parent


def run(measurement: Measurement) -> dict:
    """The result of one benchmark, with the command that gives it. RuntimeError where it ends without one."""
    command = [sys.executable, str(HERE / f"{measurement.benchmark}.py"), *measurement.arguments]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
    try:
        result = json.loads(last)
    except json.JSONDecodeError:
        result = {}
    if result.get("benchmark") != measurement.benchmark:
        raise RuntimeError(f"benchmark {measurement.name}: expected its result as the last line, got {last.strip()!r} "
                           f"and exit status {process.returncode}")
    return {"command": measurement.command(), **result}


def measure_all(chosen: list[Measurement]) -> list[str]:
    """Runs and stores; what failed or does not hold, in words."""
    from support import measure
    faults = []
    for measurement in chosen:
        started = time.perf_counter()
        print(f"== {measurement.name}: {measurement.command()}", flush=True)
        try:
            result = run(measurement)
        except RuntimeError as fault:
            faults.append(str(fault))
            continue
        result.setdefault("machine", measure.machine())
        stored.store(measurement.name, result)
        write_page()  # what was measured is not lost when a later measurement is interrupted
        if not result["holds"]:
            faults.append(f"{measurement.name} does not hold")
        print(f"== {measurement.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return faults


def write_page():
    from results import plots, texts
    results = stored.load()
    stored.FOLDER.mkdir(parents=True, exist_ok=True)
    plots.draw(results, stored.FOLDER)
    texts.write(results)


def chosen_measurements(options) -> list[Measurement]:
    import torch
    from support import measure
    known = {measurement.name: measurement for measurement in PLAN}
    unknown = [name for name in options.only if name not in known]
    if unknown:
        raise SystemExit(f"error: no measurement {', '.join(unknown)}; known: {', '.join(known)}")
    chosen = [known[name] for name in options.only] or list(PLAN)
    if options.missing:
        chosen = page.missing(stored.load(), tuple(chosen))
    there = {"": True, "gpu": torch.cuda.is_available(), "amx": measure.has_tiles()}
    return [one for one in chosen if there[one.needs]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from-stored", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these measurements")
    parser.add_argument("--missing", action="store_true", help="only what has no stored result")
    options = parser.parse_args()
    faults = [] if options.from_stored else measure_all(chosen_measurements(options))
    write_page()
    left = [measurement.name for measurement in page.missing(stored.load())]
    print(json.dumps({"benchmark": "all", "holds": not faults, "faults": faults, "not_yet_measured": left}))
    return 0 if not faults else 1


if __name__ == "__main__":
    sys.exit(main())
