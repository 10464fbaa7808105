"""What the pack is built and tested with: a bill of materials, and the holes that pip-audit knows of in it. The pack
itself needs no package beside those of the host."""

import json
import subprocess
import sys

from support.hosted import ROOT

PINNED = ROOT / "scripts" / "constraints.txt"
BILL = ROOT / ".test" / "trust" / "sbom.cdx.json"


def components() -> int:
    """Writes the bill of materials in CycloneDX's form; how many parts it names."""
    BILL.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "cyclonedx_py", "requirements", str(PINNED), "--output-reproducible",
                    "--of", "JSON", "-o", str(BILL)], check=True, stdout=sys.stderr)
    return len(json.loads(BILL.read_text(encoding="utf-8"))["components"])


def audit() -> dict:
    """`audited` are the packages that the database could be asked about: none without a way to it."""
    done = subprocess.run([sys.executable, "-m", "pip_audit", "-r", str(PINNED), "--no-deps", "--disable-pip",
                           "--progress-spinner", "off", "-f", "json"], stdout=subprocess.PIPE, text=True)
    asked = json.loads(done.stdout)["dependencies"] if done.stdout.strip() else []
    known = [one for one in asked if "skip_reason" not in one]
    return {"audited": len(known), "vulnerable": sorted(one["name"] for one in known if one["vulns"])}
