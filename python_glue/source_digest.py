"""Tells whether the native module was built from the C++ sources that lie here.

The build runs this file to leave the digest of what it built beside the module; native.py compares.
"""

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("native", "nodes", "python_glue")


def source_digest(root: Path = ROOT) -> str | None:
    """SHA-256 over the names and contents of the C++ files of the pack at `root`; None where they do not lie there, as
    in a wheel."""
    if not all((root / room).is_dir() for room in ROOMS):
        return None
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted(found for found in (root / room).rglob("*") if found.suffix in (".cpp", ".h")):
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def write_build_info(torch: str, python: str, version: str, path: str):
    info = {"torch": torch, "python": python, "version": version, "sources": source_digest()}
    Path(path).write_text(json.dumps(info) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_build_info(*sys.argv[1:])
