"""Every kind of UNet call through the engine and through the host's own forward, on each architecture: the benchmark
`parity` at reduced width, held to the same bounds as at full width."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from comfy_server import REPO

BENCHMARK = REPO / "tests" / "benchmarks" / "parity.py"
WHOLE = "sd15"  # of the others, what depends on the architecture alone


def run(preset: str) -> subprocess.CompletedProcess:
    brief = [] if preset == WHOLE else ["--brief"]
    return subprocess.run([sys.executable, str(BENCHMARK), "--presets", preset, *brief], capture_output=True, text=True)


@pytest.fixture(scope="module")
def results(request):
    """By preset, of those that are asked for; made side by side, as each takes minutes."""
    asked = [item.callspec.params["preset"] for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(asked, pool.map(run, asked), strict=True))


# The longest first, so that none of them is left alone at the end.
@pytest.mark.parametrize("preset", ["sdxl", "sdxl_refiner", "sd21", "sd15"])
def test_native_engine_equals_the_host(results, preset):
    result = results[preset]
    assert result.stdout, result.stderr[-4000:]
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["fallbacks"] == []
    assert [row for row in report["rows"] if row["relative_l2"] > row["bound"]] == []
    assert report["holds"], report
    assert result.returncode == 0
