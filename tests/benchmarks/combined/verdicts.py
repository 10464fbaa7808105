"""Words for the figures of a row: what became of a combination, and what is wrong with it."""

LEAST_EFFECT = 1e-4  # relative L2 of the host's own pictures with and without; a smaller one was not there
EXACT, WITH_CALLBACKS = "exact", "exact, with callbacks"
PARTLY, IN_THE_HOST, REFUSED = "partly in the host's code", "in the host's code", "refused"
INHERITS, INHERITS_NOTHING = "inherits", "inherits nothing"


def of_exact(cell: dict) -> str:
    """Who computed, with the native engine alone."""
    if "refused" in cell:
        return REFUSED
    by_host = cell["fallback_calls"] + cell["host_walk_calls"]
    if not cell["native_calls"] or cell["native_share"] == 0.0:
        return IN_THE_HOST
    if by_host or cell["native_share"] < 1.0:
        return PARTLY
    return WITH_CALLBACKS if cell["calls_with_hooks"] else EXACT


def of_inheriting(cell: dict) -> str:
    if "refused" in cell:
        return REFUSED
    return INHERITS if cell["inherited"] else INHERITS_NOTHING


def told(cell: dict) -> list[str]:
    """What the report says besides counts."""
    if "refused" in cell:
        return [cell["refused"]]
    found = [f"{count} place{'s' * (count > 1)}: {reason}" for reason, count in cell["places"].items()]
    found += [f"{count} call{'s' * (count > 1)}: {reason}"
              for name in ("fallback_reasons", "host_walks", "forced_refreshes")
              for reason, count in cell[name].items()]
    return found + cell["notes"]


def faults(row: dict) -> list[str]:
    """What is wrong, in words; none where the row holds."""
    if "error" in row:
        return [f"{row['name']}: {row['error'].strip().splitlines()[-1]}"]
    found = []
    if "shown_by" in row:
        if not row["shown"]:
            found.append(f"{row['name']}: expected it to act, got no {row['shown_by']}")
    elif row["effect"] != "another size" and not row["effect"] > LEAST_EFFECT:
        found.append(f"{row['name']}: expected another picture of the host's, got one off by {row['effect']:.1e}")
    exact, inheriting = row["exact"], row["inheriting"]
    if "refused" not in exact and not exact["relative_l2"] <= row["bound"]:
        found.append(f"{row['name']}: expected at most {row['bound']:.0e} to the host's picture, got "
                     f"{exact['relative_l2']:.1e}")
    if "refused" not in exact and of_exact(exact) in (PARTLY, IN_THE_HOST) and not told(exact):
        found.append(f"{row['name']}: the host ran calls, and the report does not say why")
    if "refused" not in inheriting:
        if not inheriting["finite"]:
            found.append(f"{row['name']}: expected a picture of numbers under inheritance, got none")
        if not inheriting["inherited"] and not told(inheriting):
            found.append(f"{row['name']}: nothing was inherited, and the report does not say why")
        if not inheriting["inherited"] and not inheriting["relative_l2"] <= row["bound"]:
            found.append(f"{row['name']}: nothing was inherited, and the picture is off by "
                         f"{inheriting['relative_l2']:.1e}")
    return found
