"""What the pack withstands, in figures: hostile files and texts (fuzz), random graphs on a real server (prompts),
faults at every seam (faults), long mixed use (soak), two runs at once under ThreadSanitizer (threads), the same bits
from one process to the next (restarts), and known holes of the packages that it is built and tested with (packages).

Each part takes its place in docs/benchmarks/trust.json at once; `fuzz`, which takes hours, goes on from what it has
there. `--short` is what CI runs: a little of every part but `threads`, whose build under ThreadSanitizer takes longer
than CI has, nothing of it stored. What fails leaves its input in .test/trust.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from results import stored, texts  # noqa: E402
from support import trust_parts  # noqa: E402
from support.measure import machine  # noqa: E402
from support.measured_host import commit  # noqa: E402

NAME = "trust"
SEED = 1
WORKERS = Path(__file__).with_name("workers")


def fuzz(short: bool):
    from support import fuzzing
    fuzzing.build()
    if short:
        yield fuzzing.run(50_000)
        return
    asked = trust_parts.ASKED["fuzz"]
    figures = stored_parts().get("fuzz")
    if not figures or figures["executions"] >= asked or figures["crashes"]:
        figures = {"executions": 0, "targets": {}, "crashes": 0}
    while figures["executions"] < asked and not figures["crashes"]:
        figures = fuzzing.added(figures, fuzzing.run(asked // 20))
        yield figures


def worker(name: str, *arguments) -> Iterator[dict]:
    """The figures that a process of workers/ gives as it goes; one that it does not survive is a crash."""
    figures = {}
    command = [sys.executable, str(WORKERS / f"{name}.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("{"):  # libraries print too
                figures = json.loads(line)
                yield figures
    if process.returncode != 0:
        yield {**figures, "crashes": figures.get("crashes", 0) + 1}


def prompts(short: bool):
    return worker("prompts", 20 if short else trust_parts.ASKED["prompts"], SEED)


def faults(short: bool):
    return worker("faults", 15 if short else trust_parts.ASKED["faults"] + 10, SEED)


def soak(short: bool):
    return worker("soak", 15 if short else trust_parts.ASKED["soak"], SEED)


def restarts(short: bool):
    first, figures = None, {"restarts": 0, "differing": 0, "crashes": 0}
    for number in range(2 if short else 4):
        for bits in worker("known_bits"):
            first = first or bits
            figures["crashes"] += bits.get("crashes", 0)
            figures["differing"] += bits != first
        yield {**figures, "restarts": number, "runs": len(first or {})}


def two_runs_at_once(short: bool):
    from support import threads
    threads.build()
    yield threads.run(1 if short else 20)


def known_holes(short: bool):
    from support import packages
    yield {"components": packages.components(), **packages.audit()}


PARTS = {"fuzz": fuzz, "prompts": prompts, "faults": faults, "soak": soak, "restarts": restarts,
         "threads": two_runs_at_once, "packages": known_holes}


def result_of(parts: dict) -> dict:
    faults = trust_parts.faults(parts)
    return {"benchmark": NAME, "holds": not faults, "faults": faults, "parts": parts, "machine": machine()}


def stored_parts() -> dict:
    return stored.load().get(NAME, {}).get("parts", {})


def measure(name: str, short: bool) -> dict:
    """The figures of one part. A long one gives them round by round, and each is stored."""
    started, sources, figures = time.perf_counter(), commit(), {}
    for figures in PARTS[name](short):
        figures = {**figures, "seconds": round(time.perf_counter() - started), "commit": sources}
        if not short:
            result = result_of({**stored_parts(), name: figures})
            stored.store(NAME, {"command": "bash scripts/bench.sh trust", **result})
            texts.write(stored.load())
        print(json.dumps({"part": name, **figures}), flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of nearly every part, as CI runs it")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}")
    options = parser.parse_args()
    chosen = options.only or [name for name in PARTS if not (options.short and name == "threads")]
    measured = {name: measure(name, options.short) for name in chosen}
    if options.short:
        wrong = [name for name, figures in measured.items() if not trust_parts.nothing_wrong(figures)]
        print(json.dumps({"benchmark": NAME, "holds": not wrong, "faults": wrong, "parts": measured}))
        return 1 if wrong else 0
    result = result_of(stored_parts())
    print(json.dumps(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
