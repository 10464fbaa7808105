"""Tables of the hosts that were tried, for docs/benchmarks.md and for the README."""

from collections.abc import Callable

from support.host_parts import PARTS

from .tables import NONE, table

SUITES = ("host", "glue", "browser")


def _marked(row: dict, part: str, words: str) -> str:
    """In bold where the bound of the part does not hold."""
    return words if PARTS[part](row[part]) else f"**{words}**"


def _suite(row: dict, name: str) -> str:
    if name not in row:
        return NONE
    figures = row[name]
    gpu = f" ({figures['needs_gpu']} for a GPU)" if figures["needs_gpu"] else ""
    return _marked(row, name, f"{figures['passed']} / {figures['total']}{gpu}")


def _counted(row: dict, part: str, words: Callable[[dict], str], names: Callable[[dict], list[str]],
             kind: str = "") -> str:
    """A count in `words` of the figures of a part; behind it the `names` of those that it is about."""
    if part not in row:
        return NONE
    figures = row[part]
    named = f" ({kind}{', '.join(names(figures))})" if names(figures) else ""
    return _marked(row, part, words(figures) + named)


def _nodes(row: dict) -> str:
    return _counted(row, "nodes", lambda nodes: f"{nodes['at_work']} / {nodes['total']}",
                    lambda nodes: nodes["idle"], "not ")


def _calls(row: dict) -> str:
    return _marked(row, "calls", f"{row['calls']['relative_l2']:.1e}") if "calls" in row else NONE


def _native_share(row: dict) -> str:
    return _marked(row, "calls", f"{row['calls']['native_share']:.3f}") if "calls" in row else NONE


def _silently_wrong(row: dict) -> str:
    return _counted(row, "changes", lambda changes: f"{len(changes['silently_wrong'])} of {changes['packs']}",
                    lambda changes: changes["silently_wrong"])


def _inheriting(row: dict) -> str:
    return _counted(row, "changes", lambda changes: f"{changes['inherits']} of {changes['packs']}",
                    lambda changes: [f"`{name}`" for name in changes["not_inheriting"]], "not ")


def _measured(row: dict, *keys: str) -> str:
    """What stands with the parts under `keys`, each once: a row may be of several sessions."""
    found = []
    for part in PARTS:
        value = row.get(part)
        for key in keys:
            value = None if value is None else value[key]
        if value is not None:
            found.append(value)
    return ", ".join(sorted(set(found)))


def _machines(rows: list[dict]) -> str:
    """Versions by the machine of any part of theirs."""
    found = {}
    for row in rows:
        for part in PARTS:
            if part in row:
                machine = row[part]["machine"]
                gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
                found.setdefault(f"{machine['cores']} cores of {machine['cpu']}{gpu}", []).append(row["version"])
    return "\n".join(f"- {words}: {', '.join(dict.fromkeys(versions))}" for words, versions in found.items())


def section(result: dict) -> list[str]:
    rows = [[row["version"], *(_suite(row, name) for name in SUITES), _calls(row), _native_share(row), _nodes(row),
             _silently_wrong(row), _inheriting(row), _measured(row, "machine", "torch"),
             _measured(row, "machine", "date"), _measured(row, "commit")] for row in result["rows"]]
    introduction = (
        "Versions of ComfyUI. The suites are those of `scripts/test.sh`, passed of all. Calls: the largest relative L2 "
        "of native calls to that host's own in fp32, of 14 kinds on SD1.5, SD2.1, SDXL and its refiner at the "
        "published size, from files that the host loaded; at most 1e-5. Native share: of the leaves that the engine "
        "computed on them. Nodes: those whose effect was seen in prompts of a real server. Changes: packs of "
        "[hosts_to_come](../tests/host/hosts_to_come) on that host, those whose result was off by more than 1e-3 "
        "without inheritance, and those with which it inherits, which is all but those that replace the whole forward.")
    head = ["ComfyUI", *(f"{name} tests" for name in SUITES), "calls", "native share", "nodes", "changes: wrong",
            "changes: inherit", "torch", "date", "commit"]
    return ["## Hosts", introduction, table(head, rows), _machines(result["rows"])]


def readme_table(result: dict) -> str:
    """The hosts that were tried, in short."""
    rows = [[row["version"], *(_suite(row, name) for name in SUITES), _calls(row), _nodes(row), _silently_wrong(row),
             _measured(row, "machine", "date")] for row in result["rows"]]
    head = ["ComfyUI", *(f"{name} tests" for name in SUITES), "native calls, worst relative L2", "nodes at work",
            "packs that change the host: wrong", "date"]
    return table(head, rows)
