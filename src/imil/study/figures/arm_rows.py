"""Arms as rows, group by group, with their names to the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imil.study.arms import Arm
from imil.study.figures.layout import fitted, width, write
from imil.study.figures.style import FAINT, SMALL, group

ROW = 0.185  # inches
BETWEEN = 0.45  # rows between two groups
NAME = SMALL + 0.5  # points
NAMES = 1.4, 2.2  # inches: the column of names, at least and at most


@dataclass(frozen=True)
class Rows:
    """Where each arm's row lies: the first at 0, the next at 1 or, in another group, lower."""

    arms: tuple[Arm, ...]
    at: tuple[float, ...]

    @property
    def height(self) -> float:
        """In inches."""
        return (self.at[-1] + 1) * ROW

    def frame(self, axes: Axes) -> None:
        """Axes as high as the rows, without an axis at the left: names take its place."""
        axes.set_ylim(self.at[-1] + 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=FAINT, linewidth=0.6)


def rows_of(arms: Sequence[Arm]) -> Rows:
    """The rows of at least one arm."""
    at, y = [], 0.0
    for i, arm in enumerate(arms):
        y += (1 if i else 0) + (BETWEEN if i and group(arm) != group(arms[i - 1]) else 0)
        at.append(y)
    return Rows(tuple(arms), tuple(at))


def names_width(arms: Sequence[Arm]) -> float:
    """How wide the column of names is, in inches."""
    return min(max([0.25 + width(arm.title, NAME) for arm in arms] + [NAMES[0]]), NAMES[1])


def names(figure: Figure, rows: Rows, left: float, top: float, heading: str = "") -> None:
    """The names, ending at `left`; the heading lies above them.

    Args:
        left, top: of the rows' axes, in inches.
    """
    write(figure, left - 0.1, top - 0.22, heading, fontweight="bold", ha="right")
    for arm, at in zip(rows.arms, rows.at, strict=True):
        shown = fitted(arm.title, left - 0.2, size=NAME, most=1)
        write(
            figure,
            left - 0.1,
            top + (at + 0.5) * ROW,
            shown,
            color=group(arm).colour,
            fontsize=NAME,
            ha="right",
            va="center_baseline",
        )
