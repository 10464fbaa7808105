"""Results as files: one JSON object a measurement, under docs/benchmarks."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "benchmarks"


def load(folder: Path = FOLDER) -> dict[str, dict]:
    """Results by name of measurement."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def store(name: str, result: dict, folder: Path = FOLDER):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
