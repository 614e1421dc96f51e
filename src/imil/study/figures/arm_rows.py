"""Axes with a row per arm: the rows' positions, and the arms' names as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from imil.study.arms import Arm
from imil.study.figures.style import FAINT, SMALL, group
from imil.study.figures.text_fit import fit_text, text_width

ROW_HEIGHT = 0.185  # inches
GROUP_GAP = 0.45  # rows between two groups
NAME_SIZE = SMALL + 0.5  # points
MAX_NAME = 2.0  # inches


@dataclass(frozen=True)
class ArmRows:
    """The position of each arm's row: 0, 1, ... with a gap between groups."""

    arms: tuple[Arm, ...]
    positions: tuple[float, ...]

    @property
    def height(self) -> float:
        """In inches."""
        return (self.positions[-1] + 1) * ROW_HEIGHT

    def set_up(self, axes: Axes, *, names: bool, heading: str = "") -> None:
        """Limit the axes to the rows; label the rows with the arms' names, if wanted.

        Args:
            heading: above the names.
        """
        axes.set_ylim(self.positions[-1] + 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        if not names:
            axes.set_yticks([])
            return
        labels = [fit_text(arm.title, MAX_NAME, size=NAME_SIZE, max_lines=1) for arm in self.arms]
        axes.set_yticks(self.positions, labels, fontsize=NAME_SIZE)
        axes.tick_params(axis="y", length=0, pad=6)
        for arm, label in zip(self.arms, axes.get_yticklabels(), strict=True):
            label.set_color(group(arm).colour)
        axes.annotate(
            heading, (0, 1), xycoords="axes fraction", xytext=(-6, 3), ha="right", va="baseline",
            textcoords="offset points", fontweight="bold",
        )  # fmt: skip


def arm_rows(arms: Sequence[Arm]) -> ArmRows:
    """The rows of at least one arm."""
    positions, y = [], 0.0
    for i, arm in enumerate(arms):
        y += (1 if i else 0) + (GROUP_GAP if i and group(arm) != group(arms[i - 1]) else 0)
        positions.append(y)
    return ArmRows(tuple(arms), tuple(positions))


def names_width(arms: Sequence[Arm]) -> float:
    """The width of the column of names, in inches."""
    return min(max(text_width(arm.title, NAME_SIZE) for arm in arms), MAX_NAME) + 0.15
