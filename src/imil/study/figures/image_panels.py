"""Films on a figure: scaled to what is printed, with a lesion's outline."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.cases import Image
from imil.images.colours import Picture, overlay
from imil.images.render import SELECTED, resize_to_height
from imil.study.figures.layout import Box, place, write
from imil.study.figures.style import GREY, LOOK, SMALL, quiet

OUTLINE = "#{:02x}{:02x}{:02x}".format(*SELECTED)  # the blue of selected squares
MIDDLE = 128  # grey
TALLEST = 1.25  # times its width; a taller image is made narrower


def scaled(image: Image, width: float) -> Picture:
    """The image, uint8, as large as it is printed in a cell of that width in inches."""
    rows, cols = image.shape[:2]
    pixels = width * LOOK["savefig.dpi"]
    return resize_to_height(image, max(1, round(pixels * min(rows / cols, TALLEST))))


def height(picture: Picture, width: float) -> float:
    """How tall the picture is in a cell of that width, in inches."""
    return width * min(picture.shape[0] / picture.shape[1], TALLEST)


def show(figure: Figure, box: Box, picture: Picture | Pillow.Image) -> Axes:
    """The picture in the box, its upper left corner in the box's."""
    axes = place(figure, box)
    axes.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=255, aspect="equal")
    axes.set_anchor("NW")
    quiet(axes)
    return axes


def outline(axes: Axes, mask: NDArray[np.bool_], size: tuple[int, int]) -> None:
    """The border of the mask, blue with a dark halo.

    Args:
        mask: (H, W) of the whole image at any size.
        size: height and width of the picture that the axes show.
    """
    plane = Pillow.fromarray(mask.astype(np.float32))
    how = Pillow.Resampling.BOX if mask.shape[0] > size[0] else Pillow.Resampling.BILINEAR
    small = np.asarray(plane.resize(size[::-1], how))
    if not (small > 0.5).any():  # a lesion of less than a printed pixel
        small = small / max(float(small.max()), 1e-6)
    framed = np.pad(small, 1)  # a lesion at the border is closed there
    lines = axes.contour(
        np.arange(-1, size[1] + 1), np.arange(-1, size[0] + 1), framed, levels=[0.5],
        colors=[OUTLINE], linewidths=0.8,
    )  # fmt: skip
    lines.set_path_effects([withStroke(linewidth=1.7, foreground="#0c0c0e", alpha=0.7)])


def scale(figure: Figure, left: float, top: float) -> None:
    """The colours of a heat-map from none to most, in one line."""
    write(figure, left, top, "attention: none", fontsize=SMALL, color=GREY, va="center_baseline")
    axes = place(figure, Box(left + 0.78, top - 0.045, 0.9, 0.09))
    values = np.linspace(0, 1, 90, dtype=np.float32)[None]
    film = np.full(values.shape, MIDDLE, np.uint8)  # as they are seen, on a film
    axes.imshow(overlay(film, values), aspect="auto")
    quiet(axes)
    write(figure, left + 1.74, top, "most", fontsize=SMALL, color=GREY, va="center_baseline")
