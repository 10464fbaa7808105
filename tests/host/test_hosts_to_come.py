"""Hosts to come: packs that make one change each, such as newer hosts or other packs make, on the real host. Whatever
changes, the engine gives what the changed host gives, and goes on inheriting."""

import ast
import json
import subprocess
import sys
from functools import cache

import pytest
from changed_host import CHANGES, all_changes

LIMIT = 1e-3  # relative L2 to the changed host's own result
LEAST_EFFECT = 1e-4  # of a change that acts; a smaller one was not there
MINUTES = 15


def is_alone(name: str) -> bool:
    """Whether a change is one for all models of the process, so that no other can be tried beside it."""
    tree = ast.parse((CHANGES / f"{name}.py").read_text(encoding="utf-8"))
    return any(isinstance(line, ast.Assign) and line.targets[0].id == "ALONE" for line in tree.body
               if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name))


@cache
def rows_of(names: tuple) -> dict:
    """{change: its rows}, from one process."""
    result = subprocess.run([sys.executable, str(CHANGES.parent / "changed_host.py"), *names], text=True,
                            capture_output=True, timeout=MINUTES * 60)
    assert result.returncode == 0, result.stderr[-4000:]
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {name: [row for row in rows if row["change"] == name] for name in names}


def rows(name: str) -> list[dict]:
    together = tuple(other for other in all_changes() if not is_alone(other))
    return rows_of((name,) if is_alone(name) else together)[name]


def test_there_are_at_least_twenty():
    assert len(all_changes()) >= 20


@pytest.mark.parametrize("name", all_changes())
def test_a_changed_host_is_right_and_inherits(name):
    found = rows(name)
    assert found
    if any(row["acts"] for row in found):
        assert max(row["effect"] for row in found) > LEAST_EFFECT
    for row in found:
        assert row["relative_l2"] <= LIMIT, row
        if row["must_inherit"]:
            assert row["inherited"] > 0, row
            assert row["mac_share"] < 1.0, row
            assert row["distance_of_inherited"] > 0.0, row
        else:
            assert row["fallback_reasons"], row
