"""Runs changed_host.py over the packs of hosts_to_come/, and how far its results may be from the changed host's own."""

import json
import subprocess
import sys

from changed_host import CHANGES

LIMIT = 1e-3  # relative L2 to the changed host's own result
LEAST_EFFECT = 1e-4  # of a change that acts; a smaller one was not there
MINUTES = 30  # for the changes of one process, on a machine that others use too
PROCESSES = 2


def processes(names: list[str]) -> list[tuple[str, ...]]:
    """The changes `names` shared out to processes, which are few as each imports the host."""
    shares = [tuple(names[number::PROCESSES]) for number in range(PROCESSES)]
    return [share for share in shares if share]


def rows_of(names: tuple[str, ...], python: str = sys.executable, environment: dict | None = None) -> dict:
    """{change: its rows}, from one process. RuntimeError where that fails."""
    command = [python, str(CHANGES.parent / "changed_host.py"), *names]
    result = subprocess.run(command, text=True, capture_output=True, timeout=MINUTES * 60, env=environment)
    if result.returncode != 0:
        raise RuntimeError(f"changed_host.py {' '.join(names)}: expected exit status 0, got {result.returncode}:\n"
                           f"{result.stderr[-4000:]}")
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {name: [row for row in rows if row["change"] == name] for name in names}
