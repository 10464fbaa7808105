"""Results as files: one JSON object a measurement, under docs/benchmarks; its cells, where it has them, one a line in
the files of a folder of its name."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "benchmarks"


def load(folder: Path = FOLDER) -> dict[str, dict]:
    """Results by name of measurement; a result with cells has them under "cells"."""
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    for name, result in results.items():
        lines = [line for path in sorted((folder / name).glob("*.jsonl"))
                 for line in path.read_text(encoding="utf-8").splitlines()]
        if lines:
            result["cells"] = [json.loads(line) for line in lines]
    return results


def store(name: str, result: dict, folder: Path = FOLDER):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
