"""What all Python tests share: in the whole run (scripts/test.sh) a skipped test is a failed one."""

import pytest
import torch

# The one thing that a machine may lack.
GPU_REASON = "needs a GPU"


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help=f"fail when a test skips, unless it says '{GPU_REASON}'")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if not item.config.getoption("--no-skips") or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if GPU_REASON in reason and not torch.cuda.is_available():
        return report
    report.outcome = "failed"
    report.longrepr = f"skipped where it should run: {reason}"
    return report
