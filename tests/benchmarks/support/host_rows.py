"""Rows of the benchmark `hosts`, one for each version of ComfyUI: how parts that were measured apart come together, and
the verdict on all."""

from .host_parts import PARTS


def merged(rows: list[dict], version: str, part: str, figures: dict) -> list[dict]:
    """`rows` with these figures of one part in the place of those that this host had."""
    by_version = {row["version"]: row for row in rows}
    row = by_version.get(version, {"version": version})
    by_version[version] = {**row, part: figures}
    return sorted(by_version.values(), key=lambda one: _order(one["version"]))


def _order(version: str) -> tuple:
    return tuple((not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in version.split("."))


def faults(rows: list[dict]) -> list[str]:
    """What does not hold or was not measured, in words."""
    found = []
    for row in rows:
        for name, holds in PARTS.items():
            if name not in row:
                found.append(f"{row['version']}: {name} not measured")
            elif not holds(row[name]):
                found.append(f"{row['version']}: {name} does not hold")
    return found


def bounds(rows: list[dict]) -> dict[str, bool]:
    """By part, whether it was measured and holds on every host."""
    return {name: bool(rows) and all(name in row and holds(row[name]) for row in rows)
            for name, holds in PARTS.items()}
