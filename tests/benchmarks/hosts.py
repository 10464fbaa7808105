"""Which hosts hold: one row for each version of ComfyUI, with the suites' counts (host, glue, browser), the largest
difference of native calls to that host's own on checkpoints of the published size (calls), and, out of the suite host,
the nodes that did their work in prompts of a real server and what became of packs that change the host.

COMFYUI_DIR names hosts, each of which gets an environment of its own as in scripts/setup.sh; without any it is the host
and the Python of COMFYUI_PATH and PYTHON. What is measured takes its place in docs/benchmarks/hosts.json at once, so
that one may come after the other; the verdict is on all that is stored. Logs: .test/logs/hosts. A second session in
the same tree waits for the first one's measurement, as both would use the same folders.
"""

import argparse
import fcntl
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from results import stored, texts  # noqa: E402
from support import host_rows  # noqa: E402
from support.host_parts import MEASUREMENTS, PARTS  # noqa: E402
from support.measure import machine  # noqa: E402
from support.measured_host import LOGS, MeasuredHost, commit  # noqa: E402

NAME = "hosts"


def stored_rows() -> list[dict]:
    return stored.load().get(NAME, {}).get("rows", [])


def result_of(rows: list[dict]) -> dict:
    faults = host_rows.faults(rows)
    return {"benchmark": NAME, "holds": not faults, "bounds": host_rows.bounds(rows), "faults": faults, "rows": rows,
            "machine": machine()}


@contextmanager
def alone():
    """Servers of two sessions would empty each other's base directories under .test."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another session that measures hosts in this tree", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def measure(host: MeasuredHost, name: str):
    """Makes one measurement, and stores its parts at once."""
    started, sources = time.perf_counter(), commit()
    parts = MEASUREMENTS[name](host)
    of_all = {"seconds": round(time.perf_counter() - started), "commit": sources, "machine": host.machine()}
    rows = stored_rows()  # only now: another session may have stored its host meanwhile
    for part, figures in parts.items():
        rows = host_rows.merged(rows, host.version, part, {**figures, **of_all})
    stored.store(NAME, {"command": "bash scripts/bench.sh hosts", **result_of(rows)})
    texts.write(stored.load())
    for part, figures in parts.items():
        shown = {word: value for word, value in figures.items() if word != "rows"}
        print(json.dumps({"host": host.version, "part": part, "holds": PARTS[part](figures), **shown}), flush=True)


def measure_all(host: MeasuredHost, names: list[str]) -> list[str]:
    """What could not be measured, in words; what was stored of it stays."""
    failed = []
    for name in names:
        print(f"== {host.version}, {name}", flush=True)
        try:
            with alone():
                measure(host, name)
        except (RuntimeError, OSError, subprocess.SubprocessError) as fault:
            failed.append(f"{host.version}: {name} not measured anew: {fault}")
            print(f"error: {failed[-1]}", flush=True)
    return failed


def chosen(words: str) -> list[str]:
    names = words.split(",")
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no measurement {', '.join(unknown)}; known: {', '.join(MEASUREMENTS)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="COMFYUI_DIR")
    parser.add_argument("--only", type=chosen, default=list(MEASUREMENTS), metavar="NAME,NAME",
                        help=f"of {', '.join(MEASUREMENTS)}; by default all")
    options = parser.parse_args()
    failed = []
    for folder in options.folders or [None]:
        try:
            host = MeasuredHost.of_this_process() if folder is None else MeasuredHost.prepared(folder)
        except (ValueError, subprocess.SubprocessError) as fault:
            failed.append(f"{folder}: cannot be made ready: {fault}")
            continue
        failed += measure_all(host, options.only)
    result = result_of(stored_rows())
    holds = result["holds"] and not failed
    print(json.dumps({**result, "holds": holds, "faults": [*failed, *result["faults"]]}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
