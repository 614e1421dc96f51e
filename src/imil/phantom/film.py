"""One phantom: a synthetic chest film with the masks of its lungs and lesions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imil.cases import Image as Pixels
from imil.phantom.chest import Plane, canvas, chest, random_anatomy
from imil.phantom.lungs import lesion, texture, vessels

Letter = Literal["L", "R"]
Depth = Literal[8, 16]


class Phantom(NamedTuple):
    """An image with its masks.

    Attributes:
        image: (H, W), uint8 or uint16.
        lung: (H, W), True in the lungs.
        lesion: (H, W), True in a lesion; all False in class normal.
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
        label: 0 for normal, 1 for one to three lesions.
        rng: for everything else; the same state gives the same image.
        size: pixels of a side, 32 to 4096.
        letter: marker in an upper corner: "R" on the film's left, "L" on its right.
        depth: bits of a pixel, 8 or 16.
        difficulty: of seeing the lesions, 0 (large and dense) to 1 (small and faint).
    """
    body = chest(random_anatomy(rng), size)
    density = body.density + body.lungs * rng.uniform(0.7, 1.3) * vessels(size, rng)
    density += (0.012 + 0.010 * body.lungs) * texture(size, rng)
    shape = np.zeros_like(body.lungs)
    lesions = np.zeros_like(body.lungs)
    for _ in range(int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15))) if label else 0):
        outline, strength = lesion(body.lungs, size, difficulty, rng)
        shape = np.maximum(shape, outline)
        lesions = np.maximum(lesions, strength * outline)
    transform = _random_transform(size, rng)
    film = _expose(_apply(transform, density + lesions, size), rng)
    if letter:
        film = np.maximum(film, rng.uniform(0.85, 1) * _marker(letter, size, rng))
    lung = _apply(transform, body.lungs, size) > 0.5
    mask = _apply(transform, shape, size) > 0.3
    dtype = np.uint8 if depth == 8 else np.uint16
    image = np.rint(film * (2**depth - 1)).astype(dtype)
    return Phantom(image, lung, mask & lung)


def _random_transform(size: int, rng: np.random.Generator) -> tuple[float, ...]:
    """An affine map from pixels of the film to the canvas: rotation, scale, shift."""
    angle, zoom = np.clip(rng.normal(0, 0.022, 2), -0.06, 0.06)
    shift = np.clip(rng.normal(0, 0.012, 2), -0.03, 0.03) * size
    cos, sin = (1 + zoom) * np.cos(angle), (1 + zoom) * np.sin(angle)
    middle = size / 2
    x = canvas(size) / 2 + shift[0] - cos * middle + sin * middle
    y = canvas(size) / 2 + shift[1] - sin * middle - cos * middle
    return (cos, -sin, x, sin, cos, y)


def _apply(transform: tuple[float, ...], plane: Plane, size: int) -> Plane:
    """The transformed plane on the film, (size, size)."""
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    film = picture.transform(
        (size, size), Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR
    )
    return np.asarray(film, np.float32)


def _expose(density: Plane, rng: np.random.Generator) -> Plane:
    """The exposed film, in [0, 1]: a soft response curve, a random exposure, and grain."""
    exposure, contrast = rng.normal(1, 0.07), rng.normal(1.15, 0.10)
    grain = rng.standard_normal(density.shape, np.float32) * rng.uniform(0.008, 0.022)
    bright = np.maximum(density - 0.04, 0) ** contrast
    curve: Plane = 1.15 * np.tanh(1.25 * exposure * bright) + grain
    return np.clip(curve, 0, 1)


def _marker(letter: Letter, size: int, rng: np.random.Generator) -> Plane:
    """A lead letter in the upper corner of its side, in [0, 1], (size, size)."""
    scale = 4  # drawn larger, for smooth edges
    height = rng.uniform(0.065, 0.085) * size * scale
    width, thick = 0.6 * height, max(1, round(0.17 * height))
    top = rng.uniform(0.03, 0.06) * size * scale
    side = rng.uniform(0.05, 0.10) * size * scale
    left = side if letter == "R" else size * scale - side - width
    picture = Image.new("L", (size * scale, round(0.2 * size) * scale))
    pen = ImageDraw.Draw(picture)
    pen.line([left, top, left, top + height], 255, thick)
    if letter == "L":
        pen.line([left, top + height, left + width, top + height], 255, thick)
    else:
        bowl = (left - width, top, left + width, top + 0.55 * height)
        pen.arc(bowl, -90, 90, 255, thick)
        pen.line([left, top + 0.5 * height, left + width, top + height], 255, thick)
    small = picture.resize((size, round(0.2 * size)), Image.Resampling.BOX)
    film = np.zeros((size, size), np.float32)
    film[: small.height] = np.asarray(small, np.float32) / 255
    return film
