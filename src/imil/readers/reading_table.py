"""Readings as a CSV or JSON table, one row per reading.

| column | |
|---|---|
| `key` | the sample's key; required, as is the column `squares` |
| `epoch` | completed epochs at the round; empty: any round |
| `verdict` | `focus` (also if empty), `skip`, `wrong label`, `not assessable` |
| `squares` | `2 3 6 7`, ranges such as `5-8`, `all`; in JSON a list as well |
| `squares_before` | those selected before the model's opinion was shown, or `none` |
| `misleading` | those that lead the model astray, written as `squares`; they may be alone |
| `reason`, `seconds`, `reader` | optional |

Where a sample has several rows for a round, the last one counts. Columns of other names are
ignored, but for near misses.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imil.cases import VERDICTS, Case, Reading, Verdict
from imil.data.cell_text import clean
from imil.data.column_names import find_column, find_near_miss
from imil.data.table_columns import find_delimiter
from imil.errors import DataError, SettingsError, SquareError
from imil.grid import MAX_SIDE, Grid
from imil.output_text import csv_cell, csv_value
from imil.square_text import squares_text

COLUMNS = (
    "key",
    "epoch",
    "verdict",
    "squares",
    "squares_before",
    "misleading",
    "reason",
    "seconds",
    "reader",
)
# cells in which spaces that do not break, and what has no width, mean nothing
PLAIN = ("epoch", "verdict", "squares", "squares_before", "misleading", "seconds")
# what a column may be called that is not read, and means the same
SYNONYMS = {
    "misleading_squares": "misleading",
    "round": "epoch",
    "imil_epoch": "epoch",
    "answer": "verdict",
    "decision": "verdict",
    "observer": "reader",
    "radiologist": "reader",
    "rater": "reader",
    "annotator": "reader",
}
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
            return Reading(
                case,
                self.reader,
                self.verdict,
                grid.read(self.squares) if self.verdict == "focus" else (),
                self.reason,
                self.seconds,
                None if before is None else grid.read(before),
                grid.read(self.misleading),
            ).checked(grid)
        except (SquareError, SettingsError) as error:
            raise DataError(f"{self.place}: {error}") from error


def load_rows(path: Path) -> list[Row]:
    """The rows of a CSV or JSON file, in order.

    Raises: DataError: it cannot be read, or a row is invalid.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # keeps the line breaks in a reason
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"the readings {path} cannot be read: {cause}") from error
    entries = _json(path, text) if path.suffix.lower() == ".json" else _csv(path, text)
    return [_row(entry, place) for place, entry in entries]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as JSON if the file is named .json, else as CSV.

    Raises: DataError: the file cannot be written.
    """
    entries = [{name: getattr(row, name) for name in COLUMNS} for row in rows]
    for entry in entries:  # no square selected differs from not asked
        entry["squares_before"] = NONE if entry["squares_before"] == "" else entry["squares_before"]
    if path.suffix.lower() == ".json":
        text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    else:
        buffer = io.StringIO(newline="")
        table = csv.DictWriter(buffer, COLUMNS)
        table.writeheader()
        table.writerows({name: csv_cell(cell) for name, cell in row.items()} for row in entries)
        text = buffer.getvalue()
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        raise DataError(
            f"the readings cannot be written to {path} ({error.strerror}): name another file"
        ) from error


def _csv(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    file = io.StringIO(text, newline="")
    delimiter, is_declared = find_delimiter(file)
    try:
        lines = list(csv.reader(file, delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"the readings {path} are not a valid CSV table: {error}") from error
    first = 1 if is_declared else 0
    names = _column_names(path, lines[first] if len(lines) > first else [])
    for number, line in enumerate(lines[first + 1 :], start=first + 2):  # the header is row 1
        if any(line[len(names) :]):
            raise DataError(
                f"{path}, row {number} has {len(line)} cells, but the first row names "
                f"{len(names)} columns: quote cells that contain commas"
            )
        if any(map(clean, line)):
            cells = dict(zip(names, map(csv_value, line), strict=False))
            plain = {name: clean(cells[name]) for name in PLAIN if name in cells}
            yield f"{path}, row {number}", cells | plain


def _column_names(path: Path, header: Sequence[str]) -> list[str]:
    """The names of the columns, those that are known as in `COLUMNS`.

    Raises: DataError: one is missing, there twice, or misspelt.
    """
    names = [clean(name) for name in header]
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f"the readings {path} have two columns '{name}': remove one of them")
    known = {find_column(names, column): column for column in COLUMNS}
    for required in ("key", "squares"):
        if find_column(names, required) is None:
            raise DataError(
                f"the readings {path} have no column '{required}': "
                "give at least key,squares in the first row"
            )
    for column in COLUMNS:
        if find_column(names, column) is not None:
            continue
        synonyms = (find_column(names, word) for word, of in SYNONYMS.items() if of == column)
        near = find_near_miss(names, column, list(filter(None, known)))
        if near := near or next(filter(None, synonyms), None):
            raise DataError(
                f"the column '{near}' of the readings {path} looks like '{column}': "
                f"rename it to {column}, or to something else if it is not meant"
            )
    return [known.get(name, name) for name in names]


def _json(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the readings {path} are not valid JSON: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"the readings {path} are not a JSON list of objects with key and squares")
    for number, entry in enumerate(entries, start=1):
        yield f"{path}, entry {number}", entry


def _row(entry: Mapping[str, object], place: str) -> Row:
    key = entry.get("key")
    if not isinstance(key, str) or not key:
        raise DataError(f"{place}: key is {key!r}: give the key of a sample")
    verdict = _verdict(entry.get("verdict"), place)
    squares = _squares(entry.get("squares"), place)
    misleading = _squares(entry.get("misleading"), place, "misleading")
    if verdict == "focus" and not squares and not misleading:
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
