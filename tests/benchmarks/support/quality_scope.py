"""The pictures and conditions of the benchmark `quality`, and where what it measures of them is kept."""

from results import stored
from support import hosted, picture_set

SCRATCH = hosted.ROOT / ".test" / "quality"


class Scope:
    """The whole set; or, `quick`, a small part of it, kept in the scratch folder."""

    def __init__(self, quick: bool = False):
        prompts, seeds, size = (8, 1, 4) if quick else (64, 2, 8)
        self.batches = picture_set.batches(prompts, seeds, size)
        self.timed_batches = 2 if quick else 4
        self.pictures = f"{prompts} prompts, {seeds} seed{'s' * (seeds > 1)}, batch {size}"
        self.conditions = picture_set.CONDITIONS[:1] if quick else picture_set.CONDITIONS
        self.folder = SCRATCH / "quick" if quick else stored.FOLDER / "quality"
        self.rows = SCRATCH / "quick_rows.jsonl" if quick else stored.FOLDER / "quality_rows.jsonl"
        self.sources = sorted({source for batch in self.batches for source in batch.sources})
