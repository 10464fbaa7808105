"""The picture of a run: addresses by evaluations, coloured by what was done (docs/report.md)."""

import torch

from .drawing import LINE_HEIGHT, MARGIN, as_tensor, blank, message, text_width, write

# By the letter of docs/report.md: its words, and a colour. Colours differ in lightness too, to be told apart without
# seeing hues.
ACTIONS = {"c": ("computed", "#1c4587"), "i": ("inherited", "#f7bd40"), "f": ("forecast", "#45ad8c"),
           "-": ("not run", "#e5e8ed"), "h": ("run by the host", "#9e78bd")}
ROW_HEIGHT = 20
BOX = 14  # of the legend
GRID_WIDTH = 960  # that a long run is squeezed into
MOST_SHOWN = 480  # evaluations; behind these cells would vanish
LEAST_CELL, LARGEST_CELL = 2, 26
TICK = 5  # every fifth evaluation has its number above it
GAP = 12  # between a label and what it stands at


def run_strip(report: dict) -> torch.Tensor:
    """One picture; a line of text where the report is of no run, or of one without evaluations."""
    if not report["found"]:
        return message("no run of this model made this latent")
    shown = min(report["evaluations"], MOST_SHOWN)
    if not shown:
        return message("the run made no evaluation")
    title, rows = _title(report, shown), [(row["address"], row["actions"][:shown]) for row in report["addresses"]]
    cell = min(max(GRID_WIDTH // shown, LEAST_CELL), LARGEST_CELL)
    left = MARGIN + max((text_width(address) for address, _ in rows), default=0) + GAP
    top = MARGIN + 2 * LINE_HEIGHT
    legend_top = top + len(rows) * ROW_HEIGHT + LINE_HEIGHT // 2
    width = max(left + shown * cell, MARGIN + text_width(title), MARGIN + _legend_width()) + MARGIN
    picture, draw = blank(width, legend_top + LINE_HEIGHT + MARGIN // 2)
    write(draw, MARGIN, MARGIN + LINE_HEIGHT / 2, title)
    for number in range(0, shown, max(TICK, -(-text_width("0000") // cell))):
        write(draw, left + number * cell, top - LINE_HEIGHT / 2, str(number))
    for number, (address, actions) in enumerate(rows):
        _draw_row(draw, left, top + number * ROW_HEIGHT, cell, address, actions)
    _draw_legend(draw, legend_top)
    return as_tensor(picture)


def _title(report: dict, shown: int) -> str:
    title = (f"{report['evaluations']} evaluations: {report['full']} full, {report['inherited']} inherited"
             + (f" (the first {shown} shown)" if shown < report["evaluations"] else ""))
    sigmas = report["sigmas"]
    return f"{title}   sigma {sigmas[0]:.3g} to {sigmas[-1]:.3g}" if sigmas else title


def _draw_row(draw, left: int, top: int, cell: int, address: str, actions: str):
    write(draw, MARGIN, top + ROW_HEIGHT / 2, address)
    for number, letter in enumerate(actions):
        corner = left + number * cell
        draw.rectangle([corner, top, corner + cell - 2, top + ROW_HEIGHT - 2], fill=ACTIONS[letter][1])


def _legend_width() -> int:
    return sum(BOX + GAP // 2 + text_width(words) + 2 * GAP for words, _ in ACTIONS.values())


def _draw_legend(draw, top: int):
    left = MARGIN
    for words, colour in ACTIONS.values():
        draw.rectangle([left, top, left + BOX - 1, top + BOX - 1], fill=colour)
        left += BOX + GAP // 2
        write(draw, left, top + BOX / 2, words)
        left += text_width(words) + 2 * GAP
