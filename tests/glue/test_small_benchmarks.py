"""Benchmarks that nothing else runs follow the pack: on a small UNet they answer, and agree."""

import json
import os
import subprocess
import sys

import pytest
from repository import REPO

BENCHMARKS = REPO / "tests" / "benchmarks"
sys.path.append(str(BENCHMARKS))
from closeness import relative_error  # noqa: E402
from support.case import Case  # noqa: E402
from support.competition import Competitor, Worker, known_competitors  # noqa: E402


def test_a_forward_of_a_run_is_the_hosts(native):
    import torch
    case = Case(width=32, latent=8, threads=1)
    outputs = {}
    for name in ("native", "host"):
        with Worker(known_competitors("cpu")[name], threads=1) as worker:
            worker.prepare(case)
            assert worker.run()["seconds"] > 0
            outputs[name] = torch.from_numpy(worker.output())
    assert relative_error(outputs["host"], outputs["native"]) < 1e-5


def test_a_watched_forward_tells_of_every_part(native):
    with Worker(Competitor("profiled", "profiled_unet.py", ("cpu",)), threads=1) as worker:
        macs = worker.prepare(Case(width=32, latent=8, threads=1))["address_macs"]
        seconds = worker.run(way="watched")["seconds_by_address"]
    assert macs.keys() <= seconds.keys()


@pytest.mark.parametrize(("name", "only"), [
    ("assembled", ["--presets", "s0_s1"]), ("switch", ["--quick", "--steps", "4", "--pictures", "2"]),
    ("reused", ["--sizes", "16"])])
def test_a_benchmark_makes_its_figures(native, comfy, name, only):
    small = [] if name == "reused" else ["--latent", "16", "--threads", "1"]
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--width", "32", "--rounds", "1", *small, *only],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert ran.returncode in (0, 1), ran.stderr  # whether figures of a small UNet hold says nothing
    assert json.loads(ran.stdout.splitlines()[-1])["benchmark"] == name
