"""The closing counts of a test suite: out of the JUnit report of pytest, and out of the log of Node's runner."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

NODE_COUNT = re.compile(r"^ℹ (tests|pass) (\d+)$", re.MULTILINE)
NODE_FAULT = re.compile(r"^✖ (.+?) \([\d.]+ms\)", re.MULTILINE)


class PytestReport:
    """What `pytest --junitxml` wrote. FileNotFoundError where the suite did not come to its end."""

    def __init__(self, path: Path):
        self._cases = list(ElementTree.parse(path).iter("testcase"))

    def counts(self) -> dict:
        """`needs_gpu` are those of the skipped that only a GPU can run."""
        skipped = [skip.get("message", "") for case in self._cases for skip in case.iter("skipped")]
        faults = sorted({_name(case) for case in self._cases if _failed(case)})
        return {"passed": len(self._cases) - len(skipped) - sum(map(_failed, self._cases)), "total": len(self._cases),
                "needs_gpu": sum("needs a GPU" in words for words in skipped), "not_passed": faults}

    def passed(self, test: str) -> dict[str, bool]:
        """Whether each case of the parametrised `test` passed."""
        return {name: not _failed(case) and case.find("skipped") is None for name, case in self._of(test)}

    def recorded(self, test: str, name: str) -> dict:
        """By case of `test`, what it gave to `record_property` as JSON under `name`; None where it came to none."""
        found = {}
        for case, element in self._of(test):
            values = [entry.get("value") for entry in element.iter("property") if entry.get("name") == name]
            found[case] = json.loads(values[-1]) if values else None
        return found

    def _of(self, test: str):
        for case in self._cases:
            name, bracket, parameter = case.get("name", "").partition("[")
            if name == test and bracket:
                yield parameter.removesuffix("]"), case


def _failed(case: ElementTree.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def _name(case: ElementTree.Element) -> str:
    return "::".join(filter(None, (case.get("classname"), case.get("name"))))


def of_node(text: str) -> dict | None:
    """The counts in the log of Node's test runner. None where the suite did not come to its end."""
    counts = {name: int(number) for name, number in NODE_COUNT.findall(text)}
    if counts.keys() != {"tests", "pass"}:
        return None
    return {"passed": counts["pass"], "total": counts["tests"], "needs_gpu": 0,
            "not_passed": sorted(set(NODE_FAULT.findall(text)))}
