"""Paper, ink and a font, by Pillow."""

from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, GRID = "#ffffff", "#21262f", "#e5e8ed"
MARGIN = 12  # pixels, as all sizes of this room
TEXT_SIZE = 15
LINE_HEIGHT = 24


@cache
def font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(TEXT_SIZE)


def text_width(text: str) -> int:
    return round(font().getlength(text))


def blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (width, height), PAPER)
    return picture, ImageDraw.Draw(picture)


def write(draw: ImageDraw.ImageDraw, left: float, middle: float, text: str, anchor: str = "lm"):
    """A line of text whose middle is at the height `middle`; `anchor` as Pillow has it, "lm" to begin at `left`."""
    draw.text((left, middle), text, fill=INK, font=font(), anchor=anchor)


def message(text: str) -> torch.Tensor:
    """A picture of one line, where there is nothing to draw."""
    picture, draw = blank(text_width(text) + 2 * MARGIN, LINE_HEIGHT + 2 * MARGIN)
    write(draw, MARGIN, MARGIN + LINE_HEIGHT / 2, text)
    return as_tensor(picture)


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
