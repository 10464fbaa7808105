"""The libFuzzer targets of tests/fuzz: built by the preset `fuzz`, and run side by side.

What they find lies in .test/trust/fuzz/found, one input a file; the corpus grows in .test/trust/fuzz beside it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from support.hosted import ROOT

SOURCES = ROOT / "tests" / "fuzz"
BUILT = ROOT / "build" / "fuzz" / "tests" / "fuzz"
SCRATCH = ROOT / ".test" / "trust" / "fuzz"
FOUND = SCRATCH / "found"
# Of ten million executions, by what one costs: whole UNet files and sites of a whole UNet take fifty times as long as
# the rest.
SHARES = {"plan": 3_300_000, "unet_spec": 3_300_000, "sites": 70_000, "safetensors": 3_300_000, "unet_file": 30_000}
LENGTHS = {"plan": 512, "unet_spec": 1024, "sites": 128, "safetensors": 512, "unet_file": 8192}  # of an input, at most
COUNTED = {"executions": r"number_of_executed_units: (\d+)", "coverage": r"(?s:.*)\bcov: (\d+)"}
FEW = 1000  # of every target, at least


def build():
    subprocess.run(["cmake", "--preset", "fuzz", f"-DPython_EXECUTABLE={sys.executable}"], cwd=ROOT, check=True,
                   stdout=sys.stderr)
    subprocess.run(["cmake", "--build", "--preset", "fuzz"], cwd=ROOT, check=True, stdout=sys.stderr)


def _start(target: str, executions: int, log: Path) -> subprocess.Popen:
    corpus = SCRATCH / target
    corpus.mkdir(parents=True, exist_ok=True)
    words = SOURCES / "words" / (target if (SOURCES / "words" / target).is_file() else "json")
    command = [str(BUILT / f"asdm_fuzz_{target}"), str(corpus), str(SOURCES / "corpus" / target), f"-dict={words}",
               f"-runs={executions}", f"-max_len={LENGTHS[target]}", "-timeout=60", "-report_slow_units=60",
               "-print_final_stats=1", f"-artifact_prefix={FOUND}/{target}-"]
    # Where memory was taken from is told by a second run of the input that was found, and costs half of the time.
    environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=16:malloc_context_size=1"}
    return subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment, cwd=SCRATCH)


def _counted(log: Path) -> dict:
    text = log.read_text(errors="replace")
    found = {name: re.search(pattern, text) for name, pattern in COUNTED.items()}
    return {name: int(match[1]) if match else 0 for name, match in found.items()}


def added(before: dict, now: dict) -> dict:
    """The figures of two runs together."""
    made = {target: one["executions"] for target, one in before["targets"].items()}
    targets = {target: {**one, "executions": one["executions"] + made.get(target, 0)}
               for target, one in now["targets"].items()}
    return {**now, "targets": targets, "executions": before["executions"] + now["executions"]}


def run(executions: int) -> dict:
    """Executes the targets, so many times in all: what each executed and covers, and how many crashes were found."""
    FOUND.mkdir(parents=True, exist_ok=True)
    running = {target: _start(target, max(FEW, executions * share // sum(SHARES.values())), SCRATCH / f"{target}.log")
               for target, share in SHARES.items()}
    ended = {target: process.wait() for target, process in running.items()}
    targets = {target: _counted(SCRATCH / f"{target}.log") for target in ended}
    return {"executions": sum(one["executions"] for one in targets.values()), "targets": targets,
            "crashes": sum(status != 0 for status in ended.values())}
