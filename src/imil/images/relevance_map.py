"""The map of what the readings of a round say about every image: squares on the mean image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from imil.cases import Image
from imil.grid import Grid
from imil.images.montage import Panel, font, montage
from imil.images.render import DARK, LIGHT, SELECTED, grid_lines, resize_to_height

HEIGHT = 480  # pixels
TINT = 0.55  # opacity of a square that every reading selected
HATCHING = 12  # pixels between the lines of a covered square
MIN_SIDE = 34  # pixels of a square that has room for a percentage


def selected_shares(squares: Sequence[Sequence[int]], grid: Grid) -> NDArray[np.float64]:
    """The share of the readings that selected each square, (S,), in [0, 1].

    Args:
        squares: those that each reading selected; at least one reading.

    >>> selected_shares([(1, 2), (2,)], Grid(1, 3)).tolist()
    [0.5, 1.0, 0.0]
    """
    counts = np.zeros(grid.squares)
    for selected in squares:
        counts[np.array(selected, int) - 1] += 1
    return counts / len(squares)


def relevance_map(
    mean: Image,
    grid: Grid,
    shares: NDArray[np.floating],
    covered: Sequence[int] = (),
    *,
    title: str,
) -> Pillow.Image:
    """The mean image, tinted where readings selected squares, and hatched where it is covered.

    Args:
        mean: the mean of the training images, uint8 (H, W) or (H, W, 3).
        grid: the grid of the readings.
        shares: float (S,), in [0, 1]: the share of the readings that selected each square.
        covered: squares that are black in every image from now on.
        title: above the picture.
    """
    image = resize_to_height(mean, HEIGHT)
    height, width = image.shape[:2]
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    alpha = TINT * np.asarray(shares)[grid.labels(height, width) - 1][..., None]
    tinted = np.rint(colour * (1 - alpha) + np.array(SELECTED) * alpha).astype(np.uint8)
    tinted[grid.mask(covered, height, width)] = 0
    picture = grid_lines(tinted, grid, numbers=False)
    draw = ImageDraw.Draw(picture)
    for square in range(1, grid.squares + 1):
        top, left, bottom, right = grid.box(square, height, width)
        box = (top, left, bottom, right)
        if square in covered:
            _hatch(draw, box)
        _percentage(draw, box, f"{100 * shares[square - 1]:.0f} %")
    note = "share of the readings that selected each square"
    if covered:
        note += "; hatched: black in every image from now on"
    return montage(title, [Panel(picture, note)])


def _hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """Diagonal lines within the box, so that it differs from a dark part of the image."""
    top, left, bottom, right = box
    for start in range(left - (bottom - top), right, HATCHING):
        x0, x1 = max(start, left), min(start + bottom - top, right)
        if x0 < x1:
            draw.line((x0, top + x0 - start, x1 - 1, top + x1 - 1 - start), (150, 150, 150))
    draw.rectangle((left, top, right - 1, bottom - 1), outline=LIGHT)


def _percentage(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], text: str) -> None:
    top, left, bottom, right = box
    side = min(bottom - top, right - left)
    if side < MIN_SIDE:
        return
    face = font(round(min(max(side * 0.2, 11), 22)))
    draw.text(
        ((left + right) / 2, (top + bottom) / 2),
        text,
        LIGHT,
        face,
        anchor="mm",
        stroke_width=2,
        stroke_fill=DARK,
    )
