"""What the benchmark `hosts` measures on a host, the parts of a row that come of it, and whether each holds."""

import json
import os
import sys
from collections.abc import Callable

from . import suite_counts
from .measured_host import ROOT, MeasuredHost

sys.path.append(str(ROOT / "tests" / "host"))
from change_runs import LEAST_EFFECT, LIMIT  # noqa: E402
from changed_host import all_changes  # noqa: E402
from node_schemas import read_schemas  # noqa: E402

TESTS = ROOT / "tests"
PRESETS = ("sdxl", "sdxl_refiner", "sd21", "sd15")  # the largest first: a memory that is too small shows at once
CALL_BOUND = 1e-5
LEAST_CHANGES = 20


def pytest_suite(host: MeasuredHost, name: str, distribution: str) -> suite_counts.PytestReport:
    """The folder `name` of the tests, as scripts/test.sh runs it: by as many processes (scripts/environment.sh)."""
    report = host.logs / f"{name}.xml"
    report.unlink(missing_ok=True)
    text = host.log_of(name, [host.python, "-m", "pytest", "--no-skips", "-n", os.environ["TEST_JOBS"], "--dist",
                              distribution, f"--junitxml={report}", name], TESTS,
                       OMP_NUM_THREADS=os.environ["TEST_THREADS"])
    if not report.is_file():
        raise RuntimeError(f"{host.version}, {name}: expected the suite's report, got {text[-2000:]!r}")
    return suite_counts.PytestReport(report)


def host_suite(host: MeasuredHost) -> dict:
    """The suite, and what two of its tests tell more of: the nodes, and packs that change the host."""
    report = pytest_suite(host, "host", "loadfile")
    rows = report.recorded("test_a_changed_host_is_right_and_inherits", "rows")
    return {"host": report.counts(),
            "nodes": nodes(report.passed("test_a_node_does_its_work"), [node["id"] for node in read_schemas()]),
            "changes": judged({name: rows_that_came(rows.get(name)) for name in all_changes()})}


def rows_that_came(rows: list[dict] | None) -> list[dict]:
    """None where the test of a change did not come to its rows, or one of them failed."""
    return [] if rows is None or any("error" in row for row in rows) else rows


def glue_suite(host: MeasuredHost) -> dict:
    return {"glue": pytest_suite(host, "glue", "worksteal").counts()}


def browser_suite(host: MeasuredHost) -> dict:
    host.output([str(ROOT / "scripts" / "setup.sh"), "browser"])
    server = [host.python, str(TESTS / "host" / "with_server.py"), "browser"]
    text = host.log_of("browser", [*server, "npm", "--prefix", str(TESTS / "browser"), "test"])
    counts = suite_counts.of_node(text)
    if counts is None:
        raise RuntimeError(f"{host.version}, browser: expected the suite's closing counts, got {text[-2000:]!r}")
    return {"browser": counts}


def suite_holds(figures: dict) -> bool:
    """As scripts/test.sh judges: what only a GPU can run may be left out where there is none."""
    return figures["passed"] > 0 and figures["passed"] + figures["needs_gpu"] == figures["total"]


def calls(host: MeasuredHost) -> dict:
    """Each preset in a process of its own, as two of them fit into few memories."""
    worker = str(TESTS / "benchmarks" / "workers" / "hosted_calls.py")
    found = [json.loads(host.output([host.python, worker, preset]).splitlines()[-1]) for preset in PRESETS]
    return {"calls": {
        "relative_l2": max(value for row in found for value in row["relative_l2"].values()),
        "native_share": min(row["native_share"] for row in found),
        "left_to_the_host": [f"{row['preset']}: {words}" for row in found for words in row["fallbacks"]],
        "least_effect": min(value for row in found for value in row["effect"].values()), "rows": found}}


def calls_hold(figures: dict) -> bool:
    return (figures["relative_l2"] <= CALL_BOUND and figures["native_share"] == 1.0
            and not figures["left_to_the_host"] and figures["least_effect"] > LEAST_EFFECT)


def nodes(passed: dict[str, bool], known: list[str]) -> dict:
    idle = sorted(node for node in known if not passed.get(node))
    return {"at_work": len(known) - len(idle), "total": len(known), "idle": idle}


def nodes_hold(figures: dict) -> bool:
    return figures["total"] > 0 and figures["at_work"] == figures["total"]


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
        "not_inheriting": those(lambda rows: not rows or not all(map(_inherits, rows))),
        "whole_forward": those(lambda rows: any(not row["must_inherit"] for row in rows)),
        "worst_relative_l2": max((row["relative_l2"] for rows in found.values() for row in rows), default=None),
    }


def _inherits(row: dict) -> bool:
    return row["inherited"] > 0 and row["mac_share"] < 1.0 and row["distance_of_inherited"] > 0.0


def changes_hold(figures: dict) -> bool:
    return (figures["packs"] >= LEAST_CHANGES and not figures["silently_wrong"] and not figures["without_effect"]
            and set(figures["not_inheriting"]) <= set(figures["whole_forward"]))


# What is measured together. Each gives the figures of one or more parts, by name.
MEASUREMENTS: dict[str, Callable[[MeasuredHost], dict]] = {
    "host": host_suite, "glue": glue_suite, "browser": browser_suite, "calls": calls}
# The parts of a row: whether the figures of each hold.
PARTS: dict[str, Callable[[dict], bool]] = {
    "host": suite_holds, "glue": suite_holds, "browser": suite_holds, "calls": calls_hold, "nodes": nodes_hold,
    "changes": changes_hold}
