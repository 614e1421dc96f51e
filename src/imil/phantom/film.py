"""One phantom: a drawn chest, exposed on a film, with the masks of its lungs and lesions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imil.cases import Image as Pixels
from imil.phantom.chest import Plane, any_build, canvas, chest
from imil.phantom.lungs import lesion, texture, vessels

Letter = Literal["L", "R"]
Depth = Literal[8, 16]


class Phantom(NamedTuple):
    """An image with its masks.

    Attributes:
        image: (H, W), uint8 or uint16.
        lung: (H, W), True in the lungs.
        lesion: (H, W), True in a lesion; nowhere True in class normal.
    """

    image: Pixels
    lung: NDArray[np.bool_]
    lesion: NDArray[np.bool_]


def draw(
    label: int,
    rng: np.random.Generator,
    *,
    size: int = 256,
    letter: Letter | None = None,
    depth: Depth = 8,
    difficulty: float = 0.5,
) -> Phantom:
    """One phantom.

    Args:
        label: 0 normal, 1 with one to three lesions.
        rng: decides everything else; the same state draws the same image.
        size: pixels of a side, 32 to 4096.
        letter: marker in the upper corner: "R" on the film's left, "L" on its right.
        depth: bits of a pixel, 8 or 16.
        difficulty: of seeing the lesions, 0 large and dense to 1 small and faint.
    """
    body = chest(any_build(rng), size)
    density = body.density + body.lungs * rng.uniform(0.7, 1.3) * vessels(size, rng)
    density += (0.012 + 0.010 * body.lungs) * texture(size, rng)
    shape = np.zeros_like(body.lungs)
    lesions = np.zeros_like(body.lungs)
    for _ in range(int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15))) if label else 0):
        one, strength = lesion(body.lungs, size, difficulty, rng)
        shape, lesions = np.maximum(shape, one), np.maximum(lesions, strength * one)
    place = _pose(size, rng)
    film = _film(_placed(density + lesions, size, place), rng)
    if letter:
        film = np.maximum(film, rng.uniform(0.85, 1) * _marker(letter, size, rng))
    lung = _placed(body.lungs, size, place) > 0.5
    mask = _placed(shape, size, place) > 0.3
    kind = np.uint8 if depth == 8 else np.uint16
    image = np.rint(film * (2**depth - 1)).astype(kind)
    return Phantom(image, lung, mask & lung)


def _pose(size: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Where each pixel of the film lies on the canvas: turned, nearer or farther, shifted."""
    angle, zoom = np.clip(rng.normal(0, 0.022, 2), -0.06, 0.06)
    shift = np.clip(rng.normal(0, 0.012, 2), -0.03, 0.03) * size
    cos, sin = (1 + zoom) * np.cos(angle), (1 + zoom) * np.sin(angle)
    middle = size / 2
    x = canvas(size) / 2 + shift[0] - cos * middle + sin * middle
    y = canvas(size) / 2 + shift[1] - sin * middle - cos * middle
    return (cos, -sin, x, sin, cos, y)


def _placed(plane: Plane, size: int, place: tuple[float, ...]) -> Plane:
    """The plane as it lies on the film, (size, size)."""
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    placed = picture.transform(
        (size, size), Image.Transform.AFFINE, place, Image.Resampling.BILINEAR
    )
    return np.asarray(placed, np.float32)


def _film(density: Plane, rng: np.random.Generator) -> Plane:
    """The exposed film, in [0, 1]: a soft curve, another exposure each time, and grain."""
    exposure, contrast = rng.normal(1, 0.07), rng.normal(1.15, 0.10)
    grain = rng.standard_normal(density.shape, np.float32) * rng.uniform(0.008, 0.022)
    bright = np.maximum(density - 0.04, 0) ** contrast
    curve: Plane = 1.15 * np.tanh(1.25 * exposure * bright) + grain
    return np.clip(curve, 0, 1)


def _marker(letter: Letter, size: int, rng: np.random.Generator) -> Plane:
    """A lead letter in the upper corner of its side, in [0, 1], (size, size)."""
    fine = 4  # drawn larger, for smooth edges
    high = rng.uniform(0.065, 0.085) * size * fine
    wide, thick = 0.6 * high, max(1, round(0.17 * high))
    top = rng.uniform(0.03, 0.06) * size * fine
    side = rng.uniform(0.05, 0.10) * size * fine
    left = side if letter == "R" else size * fine - side - wide
    picture = Image.new("L", (size * fine, round(0.2 * size) * fine))
    pen = ImageDraw.Draw(picture)
    pen.line([left, top, left, top + high], 255, thick)
    if letter == "L":
        pen.line([left, top + high, left + wide, top + high], 255, thick)
    else:
        bowl = (left - wide, top, left + wide, top + 0.55 * high)
        pen.arc(bowl, -90, 90, 255, thick)
        pen.line([left, top + 0.5 * high, left + wide, top + high], 255, thick)
    small = picture.resize((size, round(0.2 * size)), Image.Resampling.BOX)
    film = np.zeros((size, size), np.float32)
    film[: small.height] = np.asarray(small, np.float32) / 255
    return film
