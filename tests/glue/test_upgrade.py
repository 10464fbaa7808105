"""Workflows that were saved with the first version stay valid: they hold widget values by position, and prompts of the
API by name. first_schemas.json has what its nodes were: [name, kind, whether it may be left out, choices] of an input,
[name, kind] of an output. It never changes."""

import json
from pathlib import Path

import pytest

FIRST = json.loads(Path(__file__).with_name("first_schemas.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def today(glue):
    """The schemas of now, by id."""
    return {schema["id"]: schema for schema in glue("nodes.schema_nodes").read_schemas()}


@pytest.mark.parametrize("node", FIRST)
def test_what_was_there_is_where_it_was_and_what_is_new_may_be_left_out(today, node):
    inputs = today[node]["inputs"]
    for (name, kind, optional, choices), now in zip(FIRST[node]["inputs"], inputs, strict=False):
        assert (now["name"], now["kind"], now.get("optional", False)) == (name, kind, optional)
        assert set(choices) <= set(now.get("choices", choices)), name
    assert len(inputs) >= len(FIRST[node]["inputs"])
    new = inputs[len(FIRST[node]["inputs"]):]
    assert all(given.get("optional") and "default" in given for given in new)


@pytest.mark.parametrize("node", FIRST)
def test_outputs_keep_their_places(today, node):
    outputs = [[output["name"], output["kind"]] for output in today[node]["outputs"]]
    assert outputs[:len(FIRST[node]["outputs"])] == FIRST[node]["outputs"]
