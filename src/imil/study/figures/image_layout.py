"""Images at exact places of a figure, in inches from its upper left corner.

Images are resampled to the pixels that they are printed at, which needs panels of known size; so
the figures of images are not left to matplotlib's constrained layout, as all others are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Box:
    """A rectangle: inches from the figure's left and top, width and height."""

    left: float
    top: float
    width: float
    height: float


def fixed_figure(width: float, height: float) -> Figure:
    """A white figure, in inches."""
    return Figure(figsize=(width, height), facecolor="white")


def add_axes(figure: Figure, box: Box) -> Axes:
    """Axes in the box."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (
            box.left / width,
            1 - (box.top + box.height) / height,
            box.width / width,
            box.height / height,
        )
    )


def add_text(figure: Figure, left: float, top: float, text: str, **properties: Any) -> None:
    """Text with the upper left corner of its first line at that place, in inches."""
    width, height = figure.get_size_inches()
    settings: dict[str, Any] = {"va": "top", "ha": "left"} | properties
    figure.text(left / width, 1 - top / height, text, **settings)
