"""Verdicts on rows of what works, and how docs/what_works.md shows them: by figures, never by hand."""

import json
import re
import sys

import pytest
from repository import HOST, REPO

sys.path.append(str(REPO / "tests" / "benchmarks"))
from combined import verdicts  # noqa: E402
from results import what_works  # noqa: E402

LEAST_ROWS = 60


@pytest.fixture(scope="module")
def stored() -> dict:
    return json.loads(what_works.STORED.read_text(encoding="utf-8"))


def cell(**changes):
    return {"order": "before", "relative_l2": 2e-6, "finite": True, "evaluations": 6, "full": 6, "inherited": 0,
            "idle": 0, "native_calls": 6, "calls_with_hooks": 0, "fallback_calls": 0, "host_walk_calls": 0,
            "native_share": 1.0, "mac_share": 1.0, "fallback_reasons": {}, "host_walks": {}, "forced_refreshes": {},
            "places": {}, "notes": [], "other_caches": [], **changes}


def row(exact=None, inheriting=None, **changes):
    return {"group": "Weights", "name": "A | B", "by": "Node", "bound": 1e-3, "effect": 0.1, "exact": exact or cell(),
            "inheriting": inheriting or cell(full=3, inherited=3, mac_share=0.6, relative_l2=0.01), **changes}


@pytest.mark.parametrize(("changes", "word"), [
    ({}, "exact"),
    ({"calls_with_hooks": 6}, "exact, with callbacks"),
    ({"native_share": 0.9, "places": {"it has a hook": 1}}, "partly in the host's code"),
    ({"fallback_calls": 1, "fallback_reasons": {"context is list": 1}}, "partly in the host's code"),
    ({"native_calls": 0, "native_share": 0.0, "host_walk_calls": 6, "host_walks": {"patch 'x'": 6}},
     "in the host's code"),
    ({"native_share": 0.0, "places": {"another class": 1}}, "in the host's code")])
def test_who_computed_is_told_by_the_counts(changes, word):
    assert verdicts.of_exact(cell(**changes)) == word
    assert verdicts.faults(row(exact=cell(**changes))) == []
    assert f"| {word} (2e-06) |" in what_works.page({"host": "1", "steps": 5, "rows": [row(exact=cell(**changes))]})


@pytest.mark.parametrize(("changes", "fault"), [
    ({"effect": 1e-6}, "expected another picture of the host's, got one off by 1.0e-06"),
    ({"shown_by": "leaves cast", "shown": 0}, "expected it to act, got no leaves cast"),
    ({"exact": cell(relative_l2=2e-3)}, "expected at most 1e-03 to the host's picture, got 2.0e-03"),
    ({"exact": cell(relative_l2=float("nan"))}, "expected at most 1e-03 to the host's picture, got nan"),
    ({"exact": cell(native_share=0.5)}, "the host ran calls, and the report does not say why"),
    ({"inheriting": cell(inherited=3, finite=False)}, "expected a picture of numbers under inheritance, got none"),
    ({"inheriting": cell()}, "nothing was inherited, and the report does not say why"),
    ({"inheriting": cell(relative_l2=0.1, notes=["why"])}, "nothing was inherited, and the picture is off by 1.0e-01")])
def test_what_is_wrong_is_found(changes, fault):
    assert verdicts.faults(row(**changes)) == [f"A | B: {fault}"]


def test_what_is_refused_is_shown_with_its_message():
    refused = row(exact={"order": "before", "refused": "ValueError: expected a, got b"})
    text = what_works.page({"host": "1", "steps": 5, "rows": [refused]})
    assert "| A \\| B | Node | 0.1 | refused | inherits in 3 of 6, work 60% | ValueError: expected a, got b |" in text
    assert "1 rows: 1 refused; 1 inherit." in text


def test_the_page_is_that_of_the_stored_rows(stored):
    assert what_works.STORED.read_text(encoding="utf-8") == what_works.stored_text(stored)
    assert what_works.PAGE.read_text(encoding="utf-8") == what_works.page(stored)


def test_every_row_holds_and_no_cell_is_empty(stored):
    assert stored["holds"]
    assert len({row["name"] for row in stored["rows"]}) == len(stored["rows"]) >= LEAST_ROWS
    assert [fault for row in stored["rows"] for fault in verdicts.faults(row)] == []
    rows = [line for line in what_works.page(stored).splitlines() if line.startswith("| ")]
    assert len(rows) >= len(stored["rows"])
    for line in rows:
        cells = re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|"))
        assert len(cells) == 6
        assert all(cell.strip() for cell in cells), line


def test_every_sampler_and_scheduler_of_the_host_has_its_row(comfy, stored):
    """Of the host that the rows were measured on."""
    import comfy.samplers
    if f'"{stored["host"]}"' not in (HOST / "comfyui_version.py").read_text(encoding="utf-8"):
        return
    names = {row["name"] for row in stored["rows"]}
    samplers = [name for name in comfy.samplers.SAMPLER_NAMES if not name.endswith("_gpu")]
    assert [name for name in samplers if f"Sampler {name}" not in names] == []
    assert [name for name in comfy.samplers.SCHEDULER_NAMES if f"Scheduler {name}" not in names] == []
