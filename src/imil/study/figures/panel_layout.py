"""Figures of plots, laid out by matplotlib's constrained layout: small multiples and legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from imil.study.figures.style import GREY, SMALL
from imil.study.figures.text_fit import TITLE, fit_text

PAGE_WIDTH = 7.2  # inches; a printed page between its margins
PADDING = 0.03  # inches around a panel and its labels
AXIS = 0.42  # inches for the labels left of the first column


def plot_figure(width: float, height: float, *, hspace: float = 0) -> Figure:
    """A white figure with constrained layout, in inches.

    Args:
        hspace: additional space between rows, as a share of the height of a row.
    """
    engine = ConstrainedLayoutEngine(w_pad=1.5 * PADDING, h_pad=PADDING, wspace=0.02, hspace=hspace)
    return Figure(figsize=(width, height), facecolor="white", layout=engine)


@dataclass(frozen=True)
class SmallMultiples:
    """A grid of n cells, one per arm, row by row; a cell has two axes below each other.

    Args:
        figure: empty.
        grid: two rows of axes for each row of cells; one grid, so that all axes are aligned.
        n: number of cells; places after the last are empty.
        cell_width: approximate, in inches.
    """

    figure: Figure
    grid: GridSpec
    n: int
    cell_width: float

    def is_first(self, i: int) -> bool:
        """Whether the cell is in the first column."""
        return i % self.grid.ncols == 0

    def is_last(self, i: int) -> bool:
        """Whether there is no cell below."""
        return i + self.grid.ncols >= self.n

    def add_axes(self, i: int) -> tuple[Axes, Axes]:
        """The upper and the lower axes of a cell."""
        row, column = 2 * (i // self.grid.ncols), i % self.grid.ncols
        upper, lower = self.grid[row, column], self.grid[row + 1, column]
        return self.figure.add_subplot(upper), self.figure.add_subplot(lower)


def small_multiples(
    n: int, *, heights: tuple[float, float], title: float, margin: float
) -> SmallMultiples:
    """A figure for n cells; fewer than four do not grow to fill the page.

    Args:
        heights: about, of the two axes of a cell, in inches.
        title: height of a cell's title, in inches.
        margin: height of what is above and below all cells, in inches.
    """
    columns = column_count(n)
    cell_width = (PAGE_WIDTH - AXIS) / max(columns, min(4, columns + 1))
    rows = ceil(n / columns)
    width = max(AXIS + columns * cell_width, 3.5)
    figure = plot_figure(width, margin + rows * (sum(heights) + title))
    grid = GridSpec(2 * rows, columns, figure=figure, height_ratios=heights * rows)
    return SmallMultiples(figure, grid, n, cell_width)


def column_count(n: int) -> int:
    """The number of columns for n cells: the fewest empty places, then the widest.

    >>> [column_count(n) for n in (1, 2, 4, 5, 6, 9, 12, 13)]
    [1, 2, 4, 5, 3, 5, 4, 5]
    """
    if n <= 6:
        return n if n < 6 else 3
    return min((5, 4), key=lambda c: (-n % c, -c))


def set_title(axes: Axes, text: str, inches: float, colour: str) -> None:
    """A title above the axes, left aligned, in at most two lines of that width."""
    axes.set_title(
        fit_text(text, inches, bold=True),
        color=colour,
        fontsize=TITLE,
        fontweight="bold",
        loc="left",
        pad=3,
        linespacing=1.1,
    )


Place = Literal["outside upper left", "outside lower left"]


def add_legend(figure: Figure, entries: Sequence[tuple[Line2D, str]], place: Place) -> None:
    """One line of samples with their meaning, outside the panels."""
    figure.legend(
        handles=[sample for sample, _ in entries],
        labels=[text for _, text in entries],
        loc=place,
        ncols=len(entries),
        frameon=False,
        fontsize=SMALL,
        labelcolor=GREY,
        handlelength=2.6,
        handletextpad=0.6,
        columnspacing=1.8,
        borderaxespad=0.2,
        borderpad=0.2,
    )


def make_square(figure: Figure, axes: Axes) -> None:
    """Change the figure's height until those axes are square, as ROC curves are read."""
    for _ in range(3):  # labels keep their size, so the first step is nearly exact
        figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        box = axes.get_position()
        rows = 1 / box.height  # how much of the figure's height the axes' height is
        figure.set_size_inches(width, height + (box.width * width - box.height * height) * rows)
