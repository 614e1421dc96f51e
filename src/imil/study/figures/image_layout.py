"""Where things lie on a figure, in inches from its upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from imil.study.figures.style import GREY, SMALL

WIDE = 7.2  # inches; a printed page between its margins
POINTS = 72  # in an inch
TITLE = 7.0  # points


@dataclass(frozen=True)
class Box:
    """A rectangle: inches from the figure's left and top, width and height."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.left + self.width


@dataclass(frozen=True)
class Cells:
    """Small multiples, one cell an arm, row by row.

    Args:
        boxes: where each cell's axes lie.
        columns: how many there are in a row.
        bottom: inches from the top to the end of the last row.
    """

    boxes: tuple[Box, ...]
    columns: int
    bottom: float

    def first(self, i: int) -> bool:
        """Whether the cell has no other to its left."""
        return i % self.columns == 0

    def last(self, i: int) -> bool:
        """Whether the cell has no other below."""
        return i + self.columns >= len(self.boxes)


def sheet(width: float, height: float) -> Figure:
    """A white figure, in inches."""
    return Figure(figsize=(width, height), facecolor="white")


def place(figure: Figure, box: Box) -> Axes:
    """Axes in the box."""
    wide, high = figure.get_size_inches()
    return figure.add_axes(
        (
            box.left / wide,
            1 - (box.top + box.height) / high,
            box.width / wide,
            box.height / high,
        )
    )


def write(figure: Figure, left: float, top: float, text: str, **how: Any) -> None:
    """Text whose first line's upper left corner lies there, in inches."""
    wide, high = figure.get_size_inches()
    settings: dict[str, Any] = {"va": "top", "ha": "left"} | how
    figure.text(left / wide, 1 - top / high, text, **settings)


def columns(n: int) -> int:
    """How many columns n cells look best in: the fewest empty places, the wider the better.

    >>> [columns(n) for n in (1, 2, 4, 5, 6, 9, 12, 13)]
    [1, 2, 4, 5, 3, 5, 4, 5]
    """
    if n <= 6:
        return n if n < 6 else 3
    return min((5, 4), key=lambda c: (-n % c, -c))


def cells(
    n: int, *, width: float, height: float, left: float, top: float, gap: tuple[float, float]
) -> Cells:
    """Places for n cells on a figure of that width; fewer than four do not grow to fill it.

    Args:
        width: of the figure.
        height: of a cell.
        left, top: of the first cell.
        gap: between cells, across and down.
    """
    count = columns(n)
    wide = (width - left - 0.08 + gap[0]) / max(count, min(4, count + 1)) - gap[0]
    boxes = tuple(
        Box(
            left + (i % count) * (wide + gap[0]),
            top + (i // count) * (height + gap[1]),
            wide,
            height,
        )
        for i in range(n)
    )
    return Cells(boxes, count, top + ceil(n / count) * (height + gap[1]) - gap[1])


def fitted(
    text: str, inches: float, *, size: float = TITLE, most: int = 2, bold: bool = False
) -> str:
    """The text in lines that fit; a word that is too long is broken, too many lines are cut.

    Args:
        inches: the width of a line.
        size: of the type, in points.
        most: lines.
    """
    lines: list[str] = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if width(longer, size, bold) <= inches:
            lines[-1] = longer
            continue
        pieces = _broken(word, inches, size, bold)
        lines += pieces if lines[-1] else []
        lines = lines if lines[-1] else pieces
    if len(lines) > most:
        rest = text
        for line in lines[: most - 1]:
            rest = rest.removeprefix(line).lstrip()
        lines = [*lines[: most - 1], _cut(rest, inches, size, bold)]
    return "\n".join(lines)


def _broken(word: str, inches: float, size: float, bold: bool) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and width(pieces[-1] + letter, size, bold) > inches:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _cut(text: str, inches: float, size: float, bold: bool) -> str:
    """The text without its middle: what tells two names apart is often at the end."""
    head, tail = (len(text) + 1) // 2, len(text) // 2
    while head > 1 and width(f"{text[:head]}…{text[len(text) - tail :]}", size, bold) > inches:
        head, tail = (head - 1, tail) if head > tail else (head, tail - 1)
    return f"{text[:head]}…{text[len(text) - tail :]}"


@lru_cache(maxsize=10_000)
def width(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of text is, in inches."""
    face = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    path = TextPath((0, 0), text, size=size, prop=face)
    # the points that bend the letters lie on them or a hair beyond
    return float(path.vertices[:, 0].max()) / POINTS + 0.01 if len(path.vertices) else 0.0


def title(figure: Figure, box: Box, text: str, colour: str) -> None:
    """A cell's title above it, in at most two lines, the last one close to the cell."""
    wide, high = figure.get_size_inches()
    shown = fitted(text, box.width, bold=True)
    figure.text(
        box.left / wide,
        1 - (box.top - 0.07) / high,
        shown,
        color=colour,
        fontsize=TITLE,
        fontweight="bold",
        va="baseline",  # of the last line
        ha="left",
        linespacing=1.1,
    )


def key(figure: Figure, left: float, top: float, entries: Sequence[tuple[Line2D, str]]) -> None:
    """One line of samples with what they mean; the sample is drawn as it is in the figure."""
    wide, high = figure.get_size_inches()
    y = 1 - top / high
    for sample, text in entries:
        sample.set_transform(figure.transFigure)
        sample.set_xdata([left / wide, (left + 0.13) / wide, (left + 0.26) / wide])
        sample.set_ydata([y, y, y])
        sample.set_markevery([1])
        figure.add_artist(sample)
        figure.text((left + 0.31) / wide, y, text, fontsize=SMALL, color=GREY, va="center_baseline")
        left += 0.31 + width(text, SMALL) + 0.2
