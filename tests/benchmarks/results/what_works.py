"""docs/what_works.md out of its stored rows."""

import json

from combined import verdicts

from .stored import FOLDER
from .tables import table

STORED = FOLDER.parent / "what_works.json"
PAGE = STORED.with_suffix(".md")

INTRODUCTION = """# What works with it

Made by `bash scripts/bench.sh what_works` from runs on ComfyUI {version}: small UNets with random weights, {steps}
steps at 16x16, in fp32 on a CPU unless a row says otherwise; the figures are in [what_works.json](what_works.json).
Each row is one thing that a graph may have beside this pack, as the host's own node makes it or, where only packs do,
as they write it. A row counts only where the host's own picture is another one with it than without it.

- **effect**: relative L2 of the host's own latents with it to those without it, or what else shows that it was there.
- **ASDM Native UNet**, put behind it: the distance to the host's own latents (relative L2, at most 1e-3).
  *exact*: the engine made every call. *exact, with callbacks*: it did, and hooks of the host's ran between its layers.
  *partly in the host's code*, *in the host's code*: the host's own modules or forward computed some or all of it, so
  that the result is right and the gain is smaller. *refused*: the run ends with that message.
- **ASDM Faster SD/SDXL** (`uniform`, interval 2), put before it: how many evaluations inherited, and the share of
  the UNet's work that was done.
- **the report says**: what ASDM Report tells of it beside counts.

{count} rows: {summary}.
"""


def stored_text(result: dict) -> str:
    """The JSON of a result, a line for each row."""
    head = json.dumps({name: value for name, value in result.items() if name != "rows"}, indent=1)
    rows = ",\n".join(f"  {json.dumps(row)}" for row in result["rows"])
    return f'{head[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _effect(row: dict) -> str:
    if "shown_by" in row:
        return f"{row['shown']} {row['shown_by']}"
    return row["effect"] if isinstance(row["effect"], str) else f"{row['effect']:.2g}"


def _exact(row: dict) -> str:
    cell, word = row["exact"], verdicts.of_exact(row["exact"])
    if word == verdicts.REFUSED:
        return word
    distance = f"{cell['relative_l2']:.0e}"
    return f"{word} ({distance})" if cell["relative_l2"] <= row["bound"] else f"**{word}, but off by {distance}**"


def _inheriting(row: dict) -> str:
    cell, word = row["inheriting"], verdicts.of_inheriting(row["inheriting"])
    if word != verdicts.INHERITS:
        return word
    return f"{word} in {cell['inherited']} of {cell['evaluations']}, work {cell['mac_share']:.0%}"


def _told(row: dict) -> str:
    """Each thing once, though both runs said it."""
    found = list(dict.fromkeys([*verdicts.told(row["exact"]), *verdicts.told(row["inheriting"])]))
    return "; ".join(found) or "nothing else"


def summary(rows: list[dict]) -> str:
    counts = {}
    for row in rows:
        word = verdicts.of_exact(row["exact"])
        counts[word] = counts.get(word, 0) + 1
    inherit = sum(verdicts.of_inheriting(row["inheriting"]) == verdicts.INHERITS for row in rows)
    words = [f"{counts[word]} {word}" for word in (verdicts.EXACT, verdicts.WITH_CALLBACKS, verdicts.PARTLY,
                                                  verdicts.IN_THE_HOST, verdicts.REFUSED) if word in counts]
    return ", ".join(words) + f"; {inherit} inherit"


def page(result: dict) -> str:
    rows = result["rows"]
    parts = [INTRODUCTION.strip().format(version=result["host"], steps=result["steps"], count=len(rows),
                                         summary=summary(rows))]
    for group in dict.fromkeys(row["group"] for row in rows):
        cells = [[row["name"], row["by"], _effect(row), _exact(row), _inheriting(row), _told(row)]
                 for row in rows if row["group"] == group]
        head = ["what", "by", "effect", "ASDM Native UNet", "ASDM Faster SD/SDXL", "the report says"]
        parts += [f"## {group}", table(head, [list(map(_cell, one)) for one in cells])]
    return "\n\n".join(parts) + "\n"
