"""The worker's side of a competition: a line on stdin asks, a line on stdout answers, each one JSON object. Between two
lines the process sleeps, so that it takes nothing from whoever is measured meanwhile.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.case import Case  # noqa: E402


def peak_memory() -> int | None:
    """Peak resident bytes of this process since forget_peak_memory, mapped files included."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak_memory():
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")  # the kernel's code for "reset the peak"


def timed(work, synchronize=lambda: None) -> tuple[object, float]:
    """What `work` gives, and how long it took until the device was done."""
    synchronize()
    started = time.perf_counter()
    result = work()
    synchronize()
    return result, time.perf_counter() - started


def _answer(runner, asked: dict) -> dict:
    do = asked.pop("do")
    if do == "run":
        forget_peak_memory()
        return {**runner.run(**asked), "peak_rss_bytes": peak_memory()}
    if do == "case":
        return runner.prepare(Case(**asked["case"]))
    if do == "save":
        runner.save(asked["path"])
        return {}
    raise ValueError(f"worker: expected run, case or save, got {do!r}")


def serve(make):
    """`make(*arguments)` makes the runner: prepare(case) -> facts, run(**what) -> figures, save(path) of the last
    output as a .npy file, where it has one. Serves until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def send(answer: dict):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        runner = make(*sys.argv[1:])
        send({"ready": True})
        for line in sys.stdin:
            send(_answer(runner, json.loads(line)))
    except Exception as error:
        traceback.print_exc()
        send({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
