"""What works with the pack: every row of combined/, on the real host, and docs/what_works.md made of them.

--only PATTERN measures the rows whose name has it, and stores nothing. --from-stored only writes the page.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from combined import verdicts  # noqa: E402
from combined.sampling import STEPS  # noqa: E402
from results import what_works  # noqa: E402
from support import measure  # noqa: E402
from support.measured_host import MeasuredHost  # noqa: E402

WORKER = Path(__file__).resolve().parent / "workers" / "combinations.py"


def measured(pattern: str = "") -> list[dict]:
    """The rows, in the order of their groups. RuntimeError where the process fails."""
    found = []
    with subprocess.Popen([sys.executable, str(WORKER), pattern], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("{"):
                found.append(json.loads(line))
                print(line, end="", flush=True)
    if process.returncode != 0:
        raise RuntimeError(f"{WORKER.name}: expected exit status 0, got {process.returncode}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="PATTERN")
    parser.add_argument("--from-stored", action="store_true", help="measure nothing, write the page")
    options = parser.parse_args()
    if options.from_stored:
        result = json.loads(what_works.STORED.read_text(encoding="utf-8"))
        what_works.PAGE.write_text(what_works.page(result), encoding="utf-8")
        return 0
    started = time.perf_counter()
    rows = measured(options.only)
    faults = [fault for row in rows for fault in verdicts.faults(row)]
    result = {"benchmark": "what_works", "holds": bool(rows) and not faults, "faults": faults,
              "host": MeasuredHost.of_this_process().version, "steps": STEPS, "rows": rows,
              "machine": measure.machine()}
    if not options.only and not any("error" in row for row in rows):
        what_works.STORED.write_text(what_works.stored_text(result), encoding="utf-8")
        what_works.PAGE.write_text(what_works.page(result), encoding="utf-8")
    print(json.dumps({name: value for name, value in result.items() if name != "rows"} | {
        "rows": len(rows), "seconds": round(time.perf_counter() - started)}))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
