"""Every kind of UNet call through the engine and through the host's own forward, on each architecture: the benchmark
`parity` at reduced width, held to the same bounds as at full width."""

import json
import subprocess
import sys

import pytest
from comfy_server import REPO

BENCHMARK = REPO / "tests" / "benchmarks" / "parity.py"


@pytest.mark.parametrize("preset", ["sd15", "sd21", "sdxl", "sdxl_refiner"])
def test_native_engine_equals_the_host(preset):
    result = subprocess.run([sys.executable, str(BENCHMARK), "--presets", preset], capture_output=True, text=True)
    assert result.stdout, result.stderr[-4000:]
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["fallbacks"] == []
    assert [row for row in report["rows"] if row["relative_l2"] > row["bound"]] == []
    assert report["holds"], report
    assert result.returncode == 0
