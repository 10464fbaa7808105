"""Hosts to come: packs that make one change each, such as newer hosts or other packs make, on the real host. Whatever
changes, the engine gives what the changed host gives, and goes on inheriting."""

from functools import cache

import pytest
from change_runs import LEAST_EFFECT, LIMIT, processes, rows_of
from changed_host import all_changes

run = cache(rows_of)


def rows(name: str) -> list[dict]:
    (names,) = [names for names in processes() if name in names]
    return run(names)[name]


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
