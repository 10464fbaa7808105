"""Two runs at once under ThreadSanitizer: the tests of tests/native/test_threads.cpp, built by the preset `threads`."""

import os
import subprocess
import sys

from support.hosted import ROOT

RUNNER = ROOT / "build" / "threads" / "tests" / "native" / "asdm_thread_tests"
SUPPRESSED = ROOT / "tests" / "native" / "threads.supp"


def build():
    subprocess.run(["cmake", "--preset", "threads", f"-DPython_EXECUTABLE={sys.executable}"], cwd=ROOT, check=True,
                   stdout=sys.stderr)
    subprocess.run(["cmake", "--build", "--preset", "threads"], cwd=ROOT, check=True, stdout=sys.stderr)


def run(rounds: int) -> dict:
    """Runs the tests so often: how many passed, and how many races were reported."""
    options = f"suppressions={SUPPRESSED} ignore_noninstrumented_modules=1"
    environment = {**os.environ, "TSAN_OPTIONS": options, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(RUNNER), f"--gtest_repeat={rounds}"], env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    races = done.stdout.count("WARNING: ThreadSanitizer")
    if done.returncode != 0:
        print(done.stdout[-8000:], file=sys.stderr)
    return {"runs": done.stdout.count("[       OK ]"), "races": races,
            "crashes": int(done.returncode != 0 and not races), "corrupted": done.stdout.count("[  FAILED  ] Threads.")}
