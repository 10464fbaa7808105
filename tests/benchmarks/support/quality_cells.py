"""Where the benchmark `quality` keeps what it measured: a row for each batch of a cell, and each cell that is complete
as one line of docs/benchmarks/quality/CONDITION.jsonl. A cell is one setting in one condition."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support import measure


@dataclass(frozen=True)
class Key:
    """What a cell belongs to. Rows and cells of another set of pictures, or of other inputs, do not count."""

    condition: str
    method: str
    label: str
    inputs: str  # JSON
    pictures: str  # such as "64 prompts, 2 seeds, batch 8"

    @staticmethod
    def of(condition, setting, pictures: str) -> "Key":
        inputs = json.dumps(setting.inputs_for(condition.steps), sort_keys=True)
        return Key(condition.name, setting.method, setting.label, inputs, pictures)

    @staticmethod
    def of_stored(stored: dict) -> "Key":
        return Key(*(stored[name] for name in Key.__dataclass_fields__))

    def as_dict(self) -> dict:
        return {name: getattr(self, name) for name in Key.__dataclass_fields__}


def _lines(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def speed_and_closeness(rows: list[dict]) -> dict:
    """The speed-up is the median of the ratios of those rows that were timed; PSNR and SSIM are means over pictures."""
    ratios = [row["native_s"] / row["seconds"] for row in rows if row["native_s"] is not None]
    psnr = [value for row in rows for value in row["psnr"]]
    ssim = [value for row in rows for value in row["ssim"]]
    return {"speedup": round(measure.median(ratios), 4),
            "speedup_spread": [round(min(ratios), 4), round(max(ratios), 4)],
            "psnr": round(statistics.fmean(psnr), 3), "psnr_deviation": round(statistics.pstdev(psnr), 3),
            "ssim": round(statistics.fmean(ssim), 5), "count": len(psnr)}


def cell_of(key: Key, rows: list[dict]) -> dict:
    """A cell out of the rows of all its batches."""
    return {**key.as_dict(), **speed_and_closeness(rows),
            "timed_on": next(row["device"] for row in rows if row["native_s"] is not None),
            "pictures_by_device": {name: sum(len(row["psnr"]) for row in rows if row["device"] == name)
                                   for name in sorted({row["device"] for row in rows})}}


class Cells:
    """All that is stored, by key. `afresh`: as if nothing were; stored cells stay until they are measured again."""

    def __init__(self, folder: Path, rows: Path, afresh: bool = False):
        self._folder, self._row_file = folder, rows
        self.complete, self._rows = {}, {}
        if afresh:
            rows.unlink(missing_ok=True)
            return
        self.complete = {Key.of_stored(cell): cell for path in sorted(folder.glob("*.jsonl")) for cell in _lines(path)}
        for row in _lines(rows):
            self._rows.setdefault(Key.of_stored(row), {})[row["batch"]] = row

    def has(self, key: Key, batch: int, device: str = "") -> bool:
        """`device`: where the batch must have been measured, if that matters."""
        row = self._rows.get(key, {}).get(batch)
        return key in self.complete or row is not None and device in ("", row["device"])

    def timed_rows(self, key: Key, batches: Iterable[int], device: str) -> list[dict]:
        """Of `batches`, those that `device` timed."""
        rows = [self._rows.get(key, {}).get(batch) for batch in batches]
        return [row for row in rows if row is not None and row["native_s"] is not None and row["device"] == device]

    def add(self, key: Key, batch: int, figures: dict):
        """Keeps a row."""
        row = {**key.as_dict(), "batch": batch, **figures}
        self._row_file.parent.mkdir(parents=True, exist_ok=True)
        with self._row_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._rows.setdefault(key, {})[batch] = row

    def settle(self, key: Key, batch_count: int):
        """Stores the cell where its rows of all `batch_count` batches are there, those that were timed all of one
        device; else leaves it open."""
        rows = self._rows.get(key, {})
        timed_on = {row["device"] for row in rows.values() if row["native_s"] is not None}
        if key not in self.complete and len(rows) == batch_count and len(timed_on) == 1:
            self._complete(key, list(rows.values()))

    def _complete(self, key: Key, rows: list[dict]):
        self.complete[key] = cell_of(key, rows)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{key.condition}.jsonl"
        # What an older measurement of this setting left is replaced.
        kept = [cell for cell in _lines(path) if (cell["method"], cell["label"]) != (key.method, key.label)]
        cells = sorted([*kept, self.complete[key]], key=lambda cell: (cell["method"], cell["label"]))
        path.write_text("".join(json.dumps(cell) + "\n" for cell in cells), encoding="utf-8")
