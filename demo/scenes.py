"""Paints scenes: one to three drawings at places, sizes, angles and colours of chance, on a background of chance.

A scene is a function of its number alone, so that a run that was stopped paints on where it was, and what a model was
trained on can be painted again and compared with what it draws.
"""
import colorsys
import math
from typing import NamedTuple

import numpy as np
import torch
from drawings import trim
from PIL import Image
from scene_captions import SEED

SIZE = 128  # side of a scene, px
# First numbers of the scenes that the autoencoder, the benchmark's classifier and its test see; the UNet's start at 0.
AUTOENCODER_SCENES, CLASSIFIER_SCENES, TEST_SCENES = 1 << 30, 1 << 31, 1 << 32
COUNT_SHARES = (0.34, 0.34, 0.32)  # of scenes with one, two and three objects
SIDES = ((72, 112), (54, 72), (46, 58))  # smallest and largest drawing by the number of objects, px
LARGEST_ANGLE = 20.0  # degrees
OVERLAP = 0.85  # of the mean side is the least distance between two centres
HUE_TURN, SATURATIONS, BRIGHTNESSES = 0.04, (0.8, 1.15), (0.85, 1.1)
GRADIENT_SHARE = 0.5  # of the backgrounds
GREY = np.array([0.299, 0.587, 0.114], np.float32)


class Scene(NamedTuple):
    """A painted scene."""

    pixels: np.ndarray  # uint8 [SIZE, SIZE, 3]
    words: tuple  # the objects, in the order of the caption


def _background_colour(random):
    return np.array(colorsys.hsv_to_rgb(random.uniform(), random.uniform(0.05, 0.75), random.uniform(0.45, 1.0)),
                    np.float32)


def _background(random):
    """float [SIZE, SIZE, 3] in [0, 1]: one colour, or one that turns into another along a direction of chance."""
    first = _background_colour(random)
    if random.uniform() >= GRADIENT_SHARE:
        return np.broadcast_to(first, (SIZE, SIZE, 3)).copy()
    second, angle = _background_colour(random), random.uniform(0, 2 * math.pi)
    steps = np.linspace(-1, 1, SIZE, dtype=np.float32)
    along = steps[None, :] * math.cos(angle) + steps[:, None] * math.sin(angle)
    share = ((along - along.min()) / (along.max() - along.min()))[..., None]
    return first * (1 - share) + second * share


def _colour_matrix(random):
    """[3, 3] for RGB rows: a small turn of the hue about the grey axis, a saturation and a brightness."""
    turn = 2 * math.pi * random.uniform(-HUE_TURN, HUE_TURN)
    cos, sin, third = math.cos(turn), math.sin(turn), 1 / 3
    even = (1 - cos) * third
    odd = math.sqrt(third) * sin
    hue = np.array([[cos + even, even - odd, even + odd],
                    [even + odd, cos + even, even - odd],
                    [even - odd, even + odd, cos + even]], np.float32)
    saturation = random.uniform(*SATURATIONS)
    saturate = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * np.outer(np.ones(3, np.float32), GREY)
    return (random.uniform(*BRIGHTNESSES) * saturate @ hue).T


def _layout(random, count):
    """[(side, left, top)] of squares in px, apart from each other where a few tries find room, smaller where not."""
    smallest, largest = SIDES[count - 1]
    for attempt in range(60):
        top_side = max(smallest + 1, largest - attempt // 4)
        sides = random.integers(smallest, top_side + 1, size=count)
        corners = [random.integers(0, SIZE - side + 1, size=2) for side in sides]
        centres = [corner + side / 2 for corner, side in zip(corners, sides, strict=True)]
        apart = all(np.abs(centres[i] - centres[j]).max() >= OVERLAP * (sides[i] + sides[j]) / 2
                    for i in range(count) for j in range(i))
        if apart:
            break
    return [(int(side), int(left), int(top)) for side, (left, top) in zip(sides, corners, strict=True)]


def _turned(drawing, random, side):
    """float RGBA [side, side, 4] of the drawing: mirrored or not, at an angle of chance, recoloured."""
    if random.uniform() < 0.5:
        drawing = drawing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = random.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)
    turned = trim(drawing.rotate(angle, Image.Resampling.BICUBIC, expand=True))
    pixels = np.asarray(turned.resize((side, side), Image.Resampling.LANCZOS), np.float32) / 255
    colours = (pixels[..., :3] @ _colour_matrix(random)).clip(0, 1)
    return np.concatenate([colours, pixels[..., 3:]], axis=-1)


def paint_scene(drawings, number):
    """Scene `number`; drawings as `load_drawings` gives them."""
    random = np.random.default_rng([SEED, number])
    count = 1 + int(random.choice(len(COUNT_SHARES), p=COUNT_SHARES))
    vocabulary = list(drawings)
    words = [vocabulary[i] for i in random.choice(len(vocabulary), size=count, replace=False)]
    canvas = _background(random)
    for word, (side, left, top) in zip(words, _layout(random, count), strict=True):
        variants = drawings[word]
        drawing = _turned(variants[int(random.integers(len(variants)))], random, side)
        alpha = drawing[..., 3:]
        place = canvas[top:top + side, left:left + side]
        place[...] = place * (1 - alpha) + drawing[..., :3] * alpha
    return Scene((canvas * 255).round().astype(np.uint8), tuple(words))


def paint_pictures(drawings, first, count):
    """uint8 [count, 3, SIZE, SIZE]: the scenes from number `first` on."""
    scenes = (paint_scene(drawings, number).pixels for number in range(first, first + count))
    return torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in scenes])
