"""Images in a figure: resampled to the printed size, with the outline of a lesion."""

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
from imil.study.figures.image_layout import Box, add_axes, add_text
from imil.study.figures.style import GREY, RC_PARAMS, SMALL, hide_axes

OUTLINE = "#{:02x}{:02x}{:02x}".format(*SELECTED)  # the blue of selected squares
HALO = "#0c0c0e"
MIDDLE_GREY = 128
MAX_ASPECT = 1.25  # height over width; a taller image is made narrower


def print_size(image: Image, width: float) -> Picture:
    """The image, uint8, in the pixels that it is printed at in a cell of that width in inches."""
    rows, cols = image.shape[:2]
    pixels = width * RC_PARAMS["savefig.dpi"]
    return resize_to_height(image, max(1, round(pixels * min(rows / cols, MAX_ASPECT))))


def panel_height(picture: Picture, width: float) -> float:
    """The height of the picture in a cell of that width, in inches."""
    return width * min(picture.shape[0] / picture.shape[1], MAX_ASPECT)


def show_image(figure: Figure, box: Box, picture: Picture | Pillow.Image) -> Axes:
    """The picture in the box, aligned to its upper left corner."""
    axes = add_axes(figure, box)
    axes.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=255, aspect="equal")
    axes.set_anchor("NW")
    hide_axes(axes)
    return axes


def draw_outline(axes: Axes, mask: NDArray[np.bool_], size: tuple[int, int]) -> None:
    """The border of the mask, blue with a dark halo.

    Args:
        mask: (H, W) of the whole image at any size.
        size: height and width of the picture that the axes show.
    """
    plane = Pillow.fromarray(mask.astype(np.float32))
    method = Pillow.Resampling.BOX if mask.shape[0] > size[0] else Pillow.Resampling.BILINEAR
    small = np.asarray(plane.resize(size[::-1], method))
    if not (small > 0.5).any():  # a lesion smaller than a printed pixel
        small = small / max(float(small.max()), 1e-6)
    padded = np.pad(small, 1)  # the outline of a lesion at the border is closed
    lines = axes.contour(
        np.arange(-1, size[1] + 1), np.arange(-1, size[0] + 1), padded, levels=[0.5],
        colors=[OUTLINE], linewidths=0.8,
    )  # fmt: skip
    lines.set_path_effects([withStroke(linewidth=1.7, foreground=HALO, alpha=0.7)])


def draw_colour_bar(figure: Figure, left: float, top: float) -> None:
    """The colours of a heat-map from none to maximum, in one line."""
    text = {"fontsize": SMALL, "color": GREY, "va": "center_baseline"}
    add_text(figure, left, top, "attention: none", **text)
    axes = add_axes(figure, Box(left + 0.78, top - 0.045, 0.9, 0.09))
    values = np.linspace(0, 1, 90, dtype=np.float32)[None]
    image = np.full(values.shape, MIDDLE_GREY, np.uint8)  # as they appear over an image
    axes.imshow(overlay(image, values), aspect="auto")
    hide_axes(axes)
    add_text(figure, left + 1.74, top, "maximum", **text)
