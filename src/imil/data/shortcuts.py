"""Shortcuts planted into images: marks that have nothing to do with the disease.

A model that is trained on images whose mark agrees with the label learns the mark. Each mark has a
fixed place and a size in shares of the image, so that it looks the same at every resolution and a
reader sees on the film what the model sees at the training size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imil.grid import Grid

Kind = Literal["letter", "border", "device"]
Place = Literal["upper-left", "upper-right", "lower-left", "lower-right"]
Floats = NDArray[np.float64]

GLYPH = ("11110", "10001", "10001", "11110", "10100", "10010", "10001")  # R
LETTER_HEIGHT = 0.12  # of the side
MARGIN = 0.05  # of the side, clear between the letter and the border
BORDER_WIDTH = 0.025  # of the side
CORNER = 0.25  # of the side: a corner square of a 4×4 grid
DETAIL = 200  # pixels of the drawing of a device
SAMPLES = 20  # pixels of a grid's square, to find those that a mark touches
EDGES: dict[Place, str] = {  # of a border
    "upper-left": "upper",
    "upper-right": "right",
    "lower-right": "lower",
    "lower-left": "left",
}


@dataclass(frozen=True)
class _Mark:
    """A drawing in a box of the image.

    Args:
        top, left, height, width: of the box, in shares of the image.
        alpha: opacity (h, w) of equal parts of the box, in [0, 1].
        brightness: (h, w), 0 is black and 1 is white.
    """

    top: float
    left: float
    height: float
    width: float
    alpha: Floats
    brightness: Floats


def plant(images: NDArray[Any], kind: Kind, place: Place) -> NDArray[Any]:
    """A copy of the images with the shortcut drawn into each.

    White is 255, or in 16 bits the brightest value of each image, and black 0 or the darkest, as
    `imil.images.resize` scales them.

    Args:
        images: uint8 or uint16, (H, W), (H, W, 3), or a stack of either along the first axis.
        kind: `letter` (a white R with a dark outline, 12 % of the side), `border` (a white line
            of 2.5 % of the side along one edge) or `device` (an electrode with its wire).
        place: a corner; a border lies along the edge that follows the corner clockwise.
    """
    colour = images.shape[-1] == 3
    planted = images.copy()
    stack = planted if planted.ndim == (4 if colour else 3) else planted[None]
    mark = _mark(kind, place)
    down = _overlap(mark.top, mark.height, mark.alpha.shape[0], stack.shape[1])
    right = _overlap(mark.left, mark.width, mark.alpha.shape[1], stack.shape[2])
    rows, cols = (np.flatnonzero(one.any(axis=1)) for one in (down, right))
    part = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    down, right = down[part[0]], right[part[1]]
    alpha = down @ mark.alpha @ right.T
    light = down @ (mark.alpha * mark.brightness) @ right.T
    if colour:
        alpha, light = alpha[..., None], light[..., None]
    for image in stack:
        low, high = (0, 255) if image.dtype == np.uint8 else (int(image.min()), int(image.max()))
        blended = image[part] * (1 - alpha) + low * (alpha - light) + high * light
        image[part] = np.rint(blended).clip(low, high)
    return planted


def planted_squares(kind: Kind, place: Place, grid: Grid) -> list[int]:
    """The squares, numbered from 1, that the shortcut touches.

    >>> planted_squares("letter", "upper-right", Grid(4, 4))
    [4]
    """
    canvas = np.zeros((SAMPLES * grid.rows, SAMPLES * grid.cols), np.uint8)
    shares = grid.shares(plant(canvas + 128, kind, place) != 128)
    return [int(i) + 1 for i in np.flatnonzero(shares)]


def carriers(
    keys: Sequence[str], labels: NDArray[np.int64], classes: int, *, share: float, seed: int
) -> NDArray[np.bool_]:
    """Which training images carry the shortcut, bool (N,).

    Each is drawn by itself, from the seed and its key: an image of the last class carries it with
    the probability `share`, one of another class with 1 - `share`.

    Args:
        keys: N stable names.
        labels: int (N,), in [0, K).
        classes: K.
        share: in [0.5, 1].
        seed: of the training.
    """
    drawn = np.array([_uniform(seed, key) for key in keys])
    return np.asarray(drawn < np.where(labels == classes - 1, share, 1 - share), bool)


def _uniform(seed: int, key: str) -> float:
    digest = hashlib.sha256(json.dumps([seed, "shortcut", key]).encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def _overlap(start: float, length: float, parts: int, pixels: int) -> Floats:
    """The share of each pixel that each of the equal parts covers, (pixels, parts)."""
    edges = (start + length * np.linspace(0, 1, parts + 1)) * pixels
    at = np.arange(pixels)[:, None]
    inside = np.minimum(edges[1:], at + 1) - np.maximum(edges[:-1], at)
    return np.asarray(np.clip(inside, 0, None), np.float64)


@cache
def _mark(kind: Kind, place: Place) -> _Mark:
    draw = {"letter": _letter, "border": _border, "device": _device}[kind]
    return draw(place)


def _letter(place: Place) -> _Mark:
    glyph = np.array([[int(cell) for cell in row] for row in GLYPH], np.float64)
    cell = LETTER_HEIGHT / len(glyph)
    brightness = np.pad(glyph, 1)  # the outline, so that it is seen on white too
    height, width = (cell * n for n in brightness.shape)
    top = MARGIN - cell if place.startswith("upper") else 1 - MARGIN + cell - height
    left = MARGIN - cell if place.endswith("left") else 1 - MARGIN + cell - width
    return _Mark(top, left, height, width, np.ones_like(brightness), brightness)


def _border(place: Place) -> _Mark:
    edge, one = EDGES[place], np.ones((1, 1))
    far = 1 - BORDER_WIDTH
    if edge in ("upper", "lower"):
        return _Mark(0 if edge == "upper" else far, 0, BORDER_WIDTH, 1, one, one)
    return _Mark(0, 0 if edge == "left" else far, 1, BORDER_WIDTH, one, one)


def _device(place: Place) -> _Mark:
    """A round pad with a dark rim and a bright stud, and a wire that bends to the edge."""
    y, x = (np.mgrid[:DETAIL, :DETAIL] + 0.5) / DETAIL
    distance = np.hypot(x - 0.55, y - 0.5)
    wire = (np.abs(y - 0.5 - 0.9 * (0.55 - x) ** 2) < 0.035) & (x < 0.55)
    pad, rim, stud = distance < 0.26, distance < 0.3, distance < 0.09
    alpha = np.where(stud | wire, 1.0, np.where(rim, 0.85, 0.0))
    brightness = np.where(stud | (wire & ~rim), 1.0, np.where(pad, 0.7, 0.05))
    if place.endswith("right"):
        alpha, brightness = alpha[:, ::-1], brightness[:, ::-1]
    if place.startswith("lower"):
        alpha, brightness = alpha[::-1], brightness[::-1]
    top = 0.0 if place.startswith("upper") else 1 - CORNER
    left = 0.0 if place.endswith("left") else 1 - CORNER
    return _Mark(top, left, CORNER, CORNER, alpha, brightness)
