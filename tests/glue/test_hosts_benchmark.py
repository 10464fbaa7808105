"""The benchmark of hosts: counts out of logs, rows that come together from several sessions, the verdict, and the
tables that tell of it."""

import subprocess
import sys

import pytest
from repository import REPO

sys.path.append(str(REPO / "tests" / "benchmarks"))
from results import hosts, stored, texts  # noqa: E402
from support import host_parts, host_rows, suite_counts  # noqa: E402
from support.measured_host import MeasuredHost  # noqa: E402

MACHINE = {"cpu": "Some CPU", "cores": 2, "gpu": None, "torch": "2.13.0", "date": "2026-11-28"}
OF_A_SESSION = {"seconds": 60, "commit": "abc1234", "machine": MACHINE}
SUITE = """
import pytest

@pytest.mark.parametrize("node", ["ASDMLoadUNet", "ASDMReport"])
def test_a_node_does_its_work(node, record_property):
    record_property("rows", f'["{node}"]')
    assert node != "ASDMReport"

@pytest.mark.parametrize("words", ["needs a GPU", "needs two GPUs", "another reason"])
def test_skipped(words):
    pytest.skip(words)

def test_fixture(no_such):
    pass
"""
NODE = """✔ one opens whole (1200.5ms)
✖ two opens whole (800.1ms)
ℹ tests 8
ℹ suites 0
ℹ pass 7
ℹ fail 1
ℹ skipped 0
"""


def suite(passed=8, total=8, needs_gpu=0):
    return {"passed": passed, "total": total, "needs_gpu": needs_gpu, "not_passed": [], **OF_A_SESSION}


def change(name="one", relative_l2=1e-6, inherited=2, must_inherit=True, effect=0.1):
    return {"change": name, "relative_l2": relative_l2, "inherited": inherited, "mac_share": 0.5,
            "distance_of_inherited": 0.01, "must_inherit": must_inherit, "effect": effect, "acts": True}


def changes(count=20, **of_one):
    found = {f"change {number}": [change()] for number in range(count - 1)}
    return host_parts.judged({**found, "one": [change(), change(**of_one)]})


def row(version="0.3.75", **changed):
    calls = {"relative_l2": 3.8e-6, "native_share": 1.0, "left_to_the_host": [], "least_effect": 0.05, "rows": []}
    parts = {"host": suite(), "glue": suite(8, 10, 2), "browser": suite(), "calls": calls,
             "nodes": {"at_work": 13, "total": 13, "idle": []}, "changes": changes()}
    return {"version": version, **{name: {**part, **OF_A_SESSION} for name, part in {**parts, **changed}.items()}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of a real run, by two workers, of a suite in which each outcome is."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_some.py").write_text(SUITE)
    (folder / "test_broken.py").write_text("import no_such_module\n")
    subprocess.run([sys.executable, "-m", "pytest", "-n", "2", "--junitxml=report.xml", "."], cwd=folder,
                   capture_output=True)
    return suite_counts.PytestReport(folder / "report.xml")


def test_a_skip_is_not_passed_and_an_error_has_its_name(report):
    assert report.counts() == {
        "passed": 1, "total": 7, "needs_gpu": 1,
        "not_passed": ["test_broken", "test_some::test_a_node_does_its_work[ASDMReport]", "test_some::test_fixture"]}
    assert suite_counts.of_node(NODE) == {"passed": 7, "total": 8, "needs_gpu": 0, "not_passed": ["two opens whole"]}


def test_the_cases_of_a_test_tell_what_they_recorded(report):
    assert report.passed("test_a_node_does_its_work") == {"ASDMLoadUNet": True, "ASDMReport": False}
    assert set(report.passed("test_skipped").values()) == {False}
    assert report.recorded("test_a_node_does_its_work", "rows") == {
        "ASDMLoadUNet": ["ASDMLoadUNet"], "ASDMReport": ["ASDMReport"]}
    assert set(report.recorded("test_skipped", "rows").values()) == {None}


def test_a_suite_that_did_not_end_has_no_counts(tmp_path):
    with pytest.raises(FileNotFoundError):
        suite_counts.PytestReport(tmp_path / "report.xml")
    assert suite_counts.of_node("npm error\n") is None


def test_what_was_not_seen_does_not_hold():
    assert host_parts.nodes({"ASDMLoadUNet": True, "ASDMReport": False}, ["ASDMLoadUNet", "ASDMReport", "ASDMPlan"]) \
        == {"at_work": 1, "total": 3, "idle": ["ASDMPlan", "ASDMReport"]}
    assert host_parts.rows_that_came(None) == host_parts.rows_that_came([change(), {"error": "it failed"}]) == []
    unseen = host_parts.judged({"one": [], "two": [change()]})
    assert (unseen["silently_wrong"], unseen["not_inheriting"]) == (["one"], ["one"])


def test_parts_take_their_place_in_the_row_of_their_host():
    rows = [row("0.3.75"), row("0.33.0")]
    rows = host_rows.merged(rows, "0.33.0", "browser", suite(7))
    rows = host_rows.merged(rows, "0.8.0", "nodes", {"at_work": 12, "total": 13, "idle": ["ASDMReport"]})
    assert [one["version"] for one in rows] == ["0.3.75", "0.8.0", "0.33.0"]
    assert rows[0] == row("0.3.75")
    assert rows[2] == row("0.33.0", browser=suite(7))
    assert set(rows[1]) == {"version", "nodes"}


def test_everything_holds_only_where_each_part_of_each_host_does():
    assert host_rows.faults([row()]) == []
    assert all(host_rows.bounds([row()]).values())
    partly = {name: part for name, part in row("0.8.0").items() if name != "host"}
    rows = [row(browser=suite(7)), partly]
    assert host_rows.faults(rows) == ["0.3.75: browser does not hold", "0.8.0: host not measured"]
    assert [name for name, holds in host_rows.bounds(rows).items() if not holds] == ["host", "browser"]


@pytest.mark.parametrize("fault", [{"relative_l2": 2e-3}, {"relative_l2": float("nan")}, {"inherited": 0}])
def test_a_change_holds_where_all_of_its_rows_do(fault):
    figures = changes(**fault)
    assert not host_parts.changes_hold(figures)
    assert "one" in figures["silently_wrong"] + figures["not_inheriting"]
    assert host_parts.changes_hold(changes())
    assert not host_parts.changes_hold(changes(count=19))


def test_a_change_of_the_whole_forward_need_not_inherit():
    figures = changes(inherited=0, must_inherit=False)
    assert (figures["inherits"], figures["not_inheriting"], figures["whole_forward"]) == (19, ["one"], ["one"])
    assert host_parts.changes_hold(figures)


def test_a_call_that_was_left_to_the_host_says_nothing_of_the_engine():
    calls = row()["calls"]
    assert host_parts.calls_hold(calls)
    for fault in ({"relative_l2": 1.1e-5}, {"native_share": 0.99}, {"left_to_the_host": ["it has a hook"]}):
        assert not host_parts.calls_hold({**calls, **fault})


def test_the_version_is_the_hosts_own(tmp_path):
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.99.1"\n')
    assert MeasuredHost(tmp_path, sys.executable).version == "0.99.1"
    with pytest.raises(ValueError, match="expected a line with __version__"):
        MeasuredHost(tmp_path / "nowhere", sys.executable)


def test_tables_mark_what_does_not_hold_and_show_what_is_missing():
    partly = {"version": "0.8.0", "nodes": {"at_work": 12, "total": 13, "idle": ["ASDMReport"], **OF_A_SESSION}}
    text = "\n".join(hosts.section({"rows": [row(host=suite(7)), partly]}))
    assert "| 0.3.75 | **7 / 8** | 8 / 10 (2 for a GPU) | 8 / 8 | 3.8e-06 | 1.000 | 13 / 13 | 0 of 20 | 20 of" in text
    assert "| 0.8.0 | – | – | – | – | – | **12 / 13 (not ASDMReport)** | – | – | 2.13.0 | 2026-11-28 | abc1234" in text
    assert "- 2 cores of Some CPU: 0.3.75, 0.8.0" in text


def test_the_readme_has_its_place_for_the_table():
    readme = f"before\n{texts.BEGIN}old\n{texts.END}behind\n"
    found = texts.with_hosts(readme, {"hosts": {"rows": [row()]}})
    assert found.startswith(f"before\n{texts.BEGIN}| ComfyUI |")
    assert found.endswith(f"| 2026-11-28 |\n{texts.END}behind\n")
    with pytest.raises(ValueError, match="expected the lines"):
        texts.with_hosts("no place\n", {})


def test_the_readme_names_the_hosts_that_were_tried():
    text = texts.README.read_text(encoding="utf-8")
    assert text == texts.with_hosts(text, stored.load())
