"""Rows of docs/what_works.md measured anew: what they say of a combination is so today."""

import json
import re
import subprocess
import sys

import pytest
from comfy_server import REPO, comfy_folder

sys.path.append(str(REPO / "tests" / "benchmarks"))
from combined import verdicts  # noqa: E402
from results import what_works  # noqa: E402

WORKER = REPO / "tests" / "benchmarks" / "workers" / "combinations.py"
MINUTES = 10  # for the rows below, on a machine that others use too
STORED = json.loads(what_works.STORED.read_text(encoding="utf-8"))
BY_NAME = {row["name"]: row for row in STORED["rows"]}
IS_THE_STORED_HOST = f'"{STORED["host"]}"' in (comfy_folder() / "comfyui_version.py").read_text(encoding="utf-8")
# One of each way in which a thing is beside the pack, and all verdicts that there are.
WAYS = ("LoRA that changes its strength in the run", "Control-LoRA", "GLIGEN", "IPAdapter", "FreeU V2",
        "Perturbed-attention guidance", "Perp-Neg", "Inpainting checkpoint (9 channels)", "SDXL",
        "Scaled fp8 checkpoint", "IC-Light", "Motion modules (AnimateDiff)", "DeepCache", "Tiles that move",
        "EasyCache", "Sampler dpm_2", "Scheduler karras")
# How memory is made to be short is that host's own matter.
FLAGS = ("`--lowvram` with a LoRA", "`--bf16-unet`") if IS_THE_STORED_HOST else ()
MEASURED = WAYS + FLAGS


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict:
    """The rows of MEASURED as they come out now, by name."""
    pattern = "|".join(f"^{re.escape(name)}$" for name in MEASURED)
    run = subprocess.run([sys.executable, str(WORKER), pattern], capture_output=True, text=True, timeout=MINUTES * 60,
                         cwd=tmp_path_factory.mktemp("combinations"))
    assert run.returncode == 0, run.stderr[-4000:]
    rows = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("name", MEASURED)
def test_a_row_says_today_what_it_said(measured, name):
    row, before = measured[name], BY_NAME[name]
    assert verdicts.faults(row) == []
    if not IS_THE_STORED_HOST:  # others may call their parts and patches otherwise
        return
    for part, verdict in (("exact", verdicts.of_exact), ("inheriting", verdicts.of_inheriting)):
        assert verdict(row[part]) == verdict(before[part])
        assert row[part].get("inherited") == before[part].get("inherited")
        assert verdicts.told(row[part]) == verdicts.told(before[part])


def test_the_measured_rows_have_verdicts_of_all_kinds():
    of_all = {verdicts.of_exact(row["exact"]) for row in BY_NAME.values()}
    assert {verdicts.of_exact(BY_NAME[name]["exact"]) for name in WAYS} == of_all
    assert {verdicts.of_inheriting(BY_NAME[name]["inheriting"]) for name in WAYS} == {
        verdicts.of_inheriting(row["inheriting"]) for row in BY_NAME.values()}
