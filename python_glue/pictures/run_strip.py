"""The picture of a run: addresses by evaluations, coloured by what was done (docs/report.md)."""

from itertools import groupby

import torch

from .drawing import LINE_HEIGHT, MARGIN, as_tensor, blank, message, text_width, write

# By the letter of docs/report.md: its words, and a colour. Colours differ in lightness too, to be told apart without
# seeing hues.
ACTIONS = {"c": ("computed", "#1c4587"), "i": ("reused", "#f7bd40"), "f": ("forecast", "#45ad8c"),
           "-": ("not run", "#e5e8ed"), "h": ("run by ComfyUI", "#9e78bd")}
# What users call the parts of a UNet, by the beginning of an address.
PARTS = {"in": "encoder", "mid": "middle", "out": "decoder"}
WHOLE = "whole UNet"
ROW_HEIGHT = 20
BOX = 14  # of the legend
GRID_WIDTH = 520  # that a run is squeezed into; a node shows the picture at about this width
MOST_SHOWN = 260  # evaluations; behind these cells would vanish
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
    parts = _parts(report["addresses"], shown)
    cell = min(max(GRID_WIDTH // shown, LEAST_CELL), LARGEST_CELL)
    labels = [_across(report), *(label for part, rows in parts for label in (part, *(address for address, _ in rows)))]
    left = MARGIN + max(map(text_width, labels)) + GAP
    titles = _titles(report, shown)
    width = max(left + shown * cell, MARGIN + max(map(text_width, titles))) + MARGIN
    legend = _legend({letter for _, rows in parts for _, actions in rows for letter in actions}, width - 2 * MARGIN)
    top = MARGIN + (len(titles) + 1) * LINE_HEIGHT
    rows_height = len(parts) * LINE_HEIGHT + sum(len(rows) for _, rows in parts) * ROW_HEIGHT
    legend_top = top + rows_height + LINE_HEIGHT // 2
    picture, draw = blank(width, legend_top + len(legend) * LINE_HEIGHT + MARGIN // 2)
    for number, title in enumerate(titles):
        write(draw, MARGIN, MARGIN + (number + 0.5) * LINE_HEIGHT, title)
    _draw_axis(draw, left, top - LINE_HEIGHT / 2, cell, shown, _across(report))
    _draw_parts(draw, left, top, cell, parts)
    _draw_legend(draw, legend_top, legend)
    return as_tensor(picture)


def _parts(rows: list[dict], shown: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """(part, [(address, actions)]): layers and units stand with the blocks of their part."""
    known = [(part_of(row["address"]), (row["address"], row["actions"][:shown])) for row in rows]
    found = {part: _merged([row for its, row in known if its == part]) for part in (*PARTS.values(), WHOLE)}
    return [(part, rows) for part, rows in found.items() if rows]


def _merged(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours that did the same throughout, as one row: the fewer there are, the larger a node shows them."""
    merged = []
    for actions, alike in groupby(rows, lambda row: row[1]):
        addresses = [address for address, _ in alike]
        merged.append((addresses[0] if len(addresses) == 1 else f"{addresses[0]} to {addresses[-1]}", actions))
    return merged


def part_of(address: str) -> str:
    """What users call the part of a UNet that `address` lies in: "out.8" is in the decoder, "out" is all of it."""
    first, _, inside = address.partition(".")
    return PARTS[first] if inside or first == "mid" else WHOLE


def _across(report: dict) -> str:
    """What a column is: a step, but for samplers that ask the model more than once in one."""
    return "step" if report["evaluations"] <= report["steps"] else "evaluation"


def _titles(report: dict, shown: int) -> list[str]:
    cut = f" (the first {shown} shown)" if shown < report["evaluations"] else ""
    titles = [f"{report['full']} of {report['evaluations']} full, {report['inherited']} with reuse{cut}"]
    sigmas = report["sigmas"]
    return [*titles, f"noise level {sigmas[0]:.3g} to {sigmas[-1]:.3g}"] if sigmas else titles


def _draw_axis(draw, left: int, middle: float, cell: int, shown: int, across: str):
    write(draw, MARGIN, middle, across)
    for number in range(0, shown, max(TICK, -(-text_width("0000") // cell))):
        write(draw, left + number * cell, middle, str(number))


def _draw_parts(draw, left: int, top: int, cell: int, parts: list):
    for part, rows in parts:
        write(draw, MARGIN, top + LINE_HEIGHT / 2, part)
        top += LINE_HEIGHT
        for address, actions in rows:
            _draw_row(draw, left, top, cell, address, actions)
            top += ROW_HEIGHT


def _draw_row(draw, left: int, top: int, cell: int, address: str, actions: str):
    write(draw, left - GAP, top + ROW_HEIGHT / 2, address, "rm")
    for number, letter in enumerate(actions):
        corner = left + number * cell
        draw.rectangle([corner, top, corner + cell - 2, top + ROW_HEIGHT - 2], fill=ACTIONS[letter][1])


def _item_width(words: str) -> int:
    return BOX + GAP // 2 + text_width(words) + 2 * GAP


def _legend(letters: set, width: int) -> list[list[tuple[str, str]]]:
    """Lines of (words, colour) that fit into `width`, of the actions that were taken."""
    lines, free = [[]], width
    for words, colour in (action for letter, action in ACTIONS.items() if letter in letters):
        if lines[-1] and _item_width(words) > free:
            lines.append([])
            free = width
        lines[-1].append((words, colour))
        free -= _item_width(words)
    return lines


def _draw_legend(draw, top: int, lines: list):
    for line in lines:
        left = MARGIN
        for words, colour in line:
            draw.rectangle([left, top, left + BOX - 1, top + BOX - 1], fill=colour)
            write(draw, left + BOX + GAP // 2, top + BOX / 2, words)
            left += _item_width(words)
        top += LINE_HEIGHT
