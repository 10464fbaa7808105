"""The parts of the benchmark `hosts`: each measures one thing on a host, and says in one word whether that holds."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from . import suite_counts
from .measured_host import ROOT, MeasuredHost

sys.path.append(str(ROOT / "tests" / "host"))
from change_runs import LEAST_EFFECT, LIMIT, processes, rows_of  # noqa: E402
from changed_host import all_changes  # noqa: E402

TESTS = ROOT / "tests"
PRESETS = ("sdxl", "sdxl_refiner", "sd21", "sd15")  # the largest first: a memory that is too small shows at once
CALL_BOUND = 1e-5
LEAST_CHANGES = 20


def _ended(figures: dict | None, host: MeasuredHost, name: str, text: str) -> dict:
    if figures is None:
        raise RuntimeError(f"{host.version}, {name}: expected the suite's closing counts, got {text[-2000:]!r}")
    return figures


def python_suite(name: str, *selection: str) -> Callable[[MeasuredHost], dict]:
    """The suite as scripts/test.sh runs it."""
    def measure(host: MeasuredHost) -> dict:
        text = host.log_of(name, [host.python, "-m", "pytest", "--no-skips", *selection], TESTS)
        return _ended(suite_counts.of_pytest(text), host, name, text)
    return measure


def browser(host: MeasuredHost) -> dict:
    host.output([str(ROOT / "scripts" / "setup.sh"), "browser"])
    server = [host.python, str(TESTS / "host" / "with_server.py"), "browser"]
    text = host.log_of("browser", [*server, "npm", "--prefix", str(TESTS / "browser"), "test"])
    return _ended(suite_counts.of_node(text), host, "browser", text)


def suite_holds(figures: dict) -> bool:
    """As scripts/test.sh judges: what only a GPU can run may be left out where there is none."""
    return figures["passed"] > 0 and figures["passed"] + figures["needs_gpu"] == figures["total"]


def calls(host: MeasuredHost) -> dict:
    """Each preset in a process of its own, as two of them fit into few memories."""
    worker = str(TESTS / "benchmarks" / "workers" / "hosted_calls.py")
    found = [json.loads(host.output([host.python, worker, preset]).splitlines()[-1]) for preset in PRESETS]
    return {"relative_l2": max(value for row in found for value in row["relative_l2"].values()),
            "native_share": min(row["native_share"] for row in found),
            "left_to_the_host": [f"{row['preset']}: {words}" for row in found for words in row["fallbacks"]],
            "least_effect": min(value for row in found for value in row["effect"].values()), "rows": found}


def calls_hold(figures: dict) -> bool:
    return (figures["relative_l2"] <= CALL_BOUND and figures["native_share"] == 1.0
            and not figures["left_to_the_host"] and figures["least_effect"] > LEAST_EFFECT)


def nodes(host: MeasuredHost) -> dict:
    selection = ["-v", "host/test_nodes.py", "-k", "test_a_node_does_its_work"]
    text = host.log_of("nodes", [host.python, "-m", "pytest", "--no-skips", *selection], TESTS)
    _ended(suite_counts.of_pytest(text), host, "nodes", text)
    found = suite_counts.by_case(text)
    schemas = json.loads((ROOT / "python_glue" / "schemas.json").read_text(encoding="utf-8"))["nodes"]
    idle = sorted(node["id"] for node in schemas if not found.get(node["id"]))
    return {"at_work": len(schemas) - len(idle), "total": len(schemas), "idle": idle}


def nodes_hold(figures: dict) -> bool:
    return figures["total"] > 0 and figures["at_work"] == figures["total"]


def changes(host: MeasuredHost) -> dict:
    found = {}
    for names in processes(all_changes()):
        found.update(rows_of(names, host.python, host.environment))
        print(f"{host.version}, changes: {len(found)} tried", flush=True)
    return judged(found)


def judged(found: dict[str, list[dict]]) -> dict:
    """What became of the changes, by name: every row of one must do for it to do."""
    def those(fits: Callable[[list[dict]], bool]) -> list[str]:
        return sorted(name for name, rows in found.items() if fits(rows))

    return {
        "packs": len(found),
        # Written so that a NaN is wrong too.
        "silently_wrong": those(lambda rows: not rows or not all(row["relative_l2"] <= LIMIT for row in rows)),
        "without_effect": those(lambda rows: any(row["acts"] for row in rows)
                                and not max(row["effect"] for row in rows) > LEAST_EFFECT),
        "inherits": len(those(lambda rows: bool(rows) and all(map(_inherits, rows)))),
        "not_inheriting": those(lambda rows: not all(map(_inherits, rows))),
        "whole_forward": those(lambda rows: any(not row["must_inherit"] for row in rows)),
        "worst_relative_l2": max(row["relative_l2"] for rows in found.values() for row in rows),
    }


def _inherits(row: dict) -> bool:
    return row["inherited"] > 0 and row["mac_share"] < 1.0 and row["distance_of_inherited"] > 0.0


def changes_hold(figures: dict) -> bool:
    return (figures["packs"] >= LEAST_CHANGES and not figures["silently_wrong"] and not figures["without_effect"]
            and set(figures["not_inheriting"]) <= set(figures["whole_forward"]))


@dataclass(frozen=True)
class Part:
    measure: Callable[[MeasuredHost], dict]
    holds: Callable[[dict], bool]


PARTS = {
    "host": Part(python_suite("host", "host"), suite_holds),
    "glue": Part(python_suite("glue", "glue"), suite_holds),
    "browser": Part(browser, suite_holds),
    "calls": Part(calls, calls_hold),
    "nodes": Part(nodes, nodes_hold),
    "changes": Part(changes, changes_hold),
}
