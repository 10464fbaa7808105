"""Hosts to come: packs that make one change each, such as newer hosts or other packs make, on the real host. Whatever
changes, the engine gives what the changed host gives, and goes on inheriting."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from change_runs import LEAST_EFFECT, LIMIT, PROCESSES, processes, rows_of
from changed_host import all_changes


@pytest.fixture(scope="module")
def results(request):
    """By change, of those that are asked for, what its process gives; all run side by side."""
    asked = [name for name in all_changes()
             if any(item.path == request.path and item.name.endswith(f"[{name}]") for item in request.session.items)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        runs = {names: pool.submit(rows_of, names) for names in processes(asked)}
    return {name: run for names, run in runs.items() for name in names}


def test_there_are_at_least_twenty():
    assert len(all_changes()) >= 20


@pytest.mark.parametrize("name", all_changes())
def test_a_changed_host_is_right_and_inherits(results, name, record_property):
    found = results[name].result()[name]
    record_property("rows", json.dumps(found))  # for the benchmark of hosts
    assert found
    assert [row["error"] for row in found if "error" in row] == []
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
