"""The closing counts of a test suite, out of its log."""

import re

CLOSING = re.compile(r"^=+ (.*\b(?:passed|failed|errors?|skipped)\b.*) in [\d.]+s\b.*=+$", re.MULTILINE)
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)")
# pytest's own summary; what a test logged has other words behind ERROR.
FAULT = re.compile(r"^(?:FAILED|ERROR) (\S+\.py(?:::.*?)?)(?: - .*)?$", re.MULTILINE)
NEEDS_GPU = re.compile(r"^SKIPPED \[(\d+)\] .*needs a GPU", re.MULTILINE)
NODE_COUNT = re.compile(r"^ℹ (tests|pass) (\d+)$", re.MULTILINE)
NODE_FAULT = re.compile(r"^✖ (.+?) \([\d.]+ms\)", re.MULTILINE)
CASE = re.compile(r"^\S+::\w+\[(\w+)\] (PASSED|FAILED|ERROR|SKIPPED)", re.MULTILINE)


def of_pytest(text: str) -> dict | None:
    """None where the suite did not come to its end. `needs_gpu` are those of the skipped that only a GPU can run."""
    closing = CLOSING.findall(text)
    if not closing:
        return None
    counts = {name: int(number) for number, name in COUNT.findall(closing[-1])}
    return {"passed": counts.get("passed", 0), "total": sum(counts.values()),
            "needs_gpu": sum(map(int, NEEDS_GPU.findall(text))), "not_passed": sorted(set(FAULT.findall(text)))}


def of_node(text: str) -> dict | None:
    """The same of Node's test runner."""
    counts = {name: int(number) for name, number in NODE_COUNT.findall(text)}
    if counts.keys() != {"tests", "pass"}:
        return None
    return {"passed": counts["pass"], "total": counts["tests"], "needs_gpu": 0,
            "not_passed": sorted(set(NODE_FAULT.findall(text)))}


def by_case(text: str) -> dict[str, bool]:
    """Whether each case of a parametrised test passed, by the verbose lines of pytest."""
    return {name: outcome == "PASSED" for name, outcome in CASE.findall(text)}
