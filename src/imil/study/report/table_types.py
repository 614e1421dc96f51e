"""Tables of the report as data; `templates/table.html` says how they are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EstimateText:
    """A mean with its 95 % interval, and the standard deviation over trainings where known."""

    mean: str
    interval: str
    sd: str = ""


@dataclass(frozen=True)
class DifferenceText:
    """A difference with its 95 % interval, its p and its verdict.

    Args:
        shown: whether the difference is shown, and not merely measured.
    """

    value: str
    interval: str = ""
    p: str = ""
    verdict: str = ""
    shown: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: text, or an estimate and a difference below each other.

    Args:
        css: classes of the cell in report.css, such as `number`.
        inline: estimate and difference take one line each, instead of a line per number.
        small: the text is set smaller.
    """

    text: str = ""
    css: str = ""
    estimate: EstimateText | None = None
    difference: DifferenceText | None = None
    inline: bool = False
    small: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        head: the heading of the row.
        note: smaller text beside the heading.
        starts_group: whether a rule above the row separates it from the group before.
    """

    head: str
    cells: Sequence[Cell]
    note: str = ""
    starts_group: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Args:
        caption: a few words.
        heads: headings of the columns, the first one that of the rows' headings.
        note: how to read it; below the table.
        css: its class in report.css.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Row]
    note: str = ""
    css: str = ""


def number(text: str) -> Cell:
    """A cell for a number."""
    return Cell(text, "number")
