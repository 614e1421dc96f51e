"""One recorded reading: its values checked, its squares text or marks until the grid is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from imil.cases import VERDICTS, Case, Reading, Verdict
from imil.errors import DataError, SettingsError, SquareError
from imil.grid import MAX_SIDE, Grid
from imil.readers.marks import Marks
from imil.square_text import squares_text

NONE = "none"
UNNAMED = "replay"  # the reader of rows without one
# rows are checked against it before the grid of the case is known
LARGEST_GRID = Grid(MAX_SIDE, MAX_SIDE)


@dataclass(frozen=True)
class Row:
    """One reading of the table; squares are text until the grid of the case is known."""

    key: str
    epoch: int | None
    verdict: Verdict
    squares: str
    squares_before: str | None
    reason: str
    seconds: float
    reader: str
    misleading: str = ""
    place: str = ""  # such as `a.csv, row 3`
    marks: Marks | None = None  # in place of squares, where the file has parts of the image
    is_from_tool: bool = False  # whose names of files may lack the folder

    def reading(self, case: Case) -> Reading:
        """A new reading of the case.

        Raises: DataError: the row's squares are invalid on the case's grid.
        """
        return self.on(case.grid, case.id)

    def on(self, grid: Grid, case: str = "") -> Reading:
        """A new reading on that grid of the case of that id.

        Raises: DataError: a square lies outside the grid, or is in two states.
        """
        before = self.squares_before
        try:
            squares, misleading = self._marked(grid)
            return Reading(
                case,
                self.reader,
                self.verdict,
                squares if self.verdict == "focus" else (),
                self.reason,
                self.seconds,
                None if before is None else grid.read(before),
                misleading,
            ).checked(grid)
        except (SquareError, SettingsError, DataError) as error:
            raise DataError(f"{self.place}: {error}") from error

    def _marked(self, grid: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.marks is not None:
            return self.marks.squares(grid)
        return grid.read(self.squares), grid.read(self.misleading)


def make_row(
    entry: Mapping[str, object],
    place: str,
    marks: Marks | None = None,
    *,
    is_from_tool: bool = False,
) -> Row:
    """The row of an entry with the names of the columns of `imil.readers.reading_table`, checked.

    Args:
        entry: its values, as text or as JSON has them; others are ignored.
        place: where it is, for messages.
        marks: in place of its squares.
        is_from_tool: whether another tool has named the image.
    Raises: DataError: a value is invalid, or nothing is marked and the verdict is `focus`.
    """
    key = entry.get("key")
    if not isinstance(key, str) or not key:
        raise DataError(f"{place}: key is {key!r}: give the key of a sample")
    verdict = _verdict(entry.get("verdict"), place)
    squares = _squares(entry.get("squares"), place)
    misleading = _squares(entry.get("misleading"), place, "misleading")
    if marks is None and verdict == "focus" and not squares and not misleading:
        raise DataError(f"{place}: no squares for '{key}': give some, or the verdict skip")
    before = entry.get("squares_before")
    return Row(
        key=key,
        epoch=_epoch(entry.get("epoch"), place),
        verdict=verdict,
        squares=squares,
        squares_before=None if before in (None, "") else _squares(before, place),
        reason=str(entry.get("reason") or ""),
        seconds=_seconds(entry.get("seconds"), place),
        reader=str(entry.get("reader") or UNNAMED),
        misleading=misleading,
        place=place,
        marks=marks,
        is_from_tool=is_from_tool,
    )


def _verdict(value: object, place: str) -> Verdict:
    if value in (None, ""):
        return "focus"
    for verdict in VERDICTS:
        if value == verdict:
            return verdict
    raise DataError(f"{place}: invalid verdict '{value}': give one of {', '.join(VERDICTS)}")


def _squares(value: object, place: str, name: str = "squares") -> str:
    """The squares as text; empty if there are none."""
    if isinstance(value, list):
        value = squares_text(value)
    text = "" if value in (None, NONE) else str(value).strip()
    try:
        return text if LARGEST_GRID.read(text) else ""
    except SquareError as error:
        raise DataError(
            f"{place}: {name} is '{text}': give numbers such as 2 3 6 7, ranges such as 5-8, or all"
        ) from error


def _epoch(value: object, place: str) -> int | None:
    if value in (None, ""):
        return None
    number = _number(value)
    if number is None or number < 0 or number != int(number):
        raise DataError(f"{place}: epoch is '{value}': give a whole number, or nothing")
    return int(number)


def _seconds(value: object, place: str) -> float:
    number = 0.0 if value in (None, "") else _number(value)
    if number is None or number < 0:
        raise DataError(f"{place}: seconds is '{value}': give a number, or nothing")
    return number


def _number(value: object) -> float | None:
    """The value as a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # the second: of an integer without end
        return None
    return number if math.isfinite(number) else None
