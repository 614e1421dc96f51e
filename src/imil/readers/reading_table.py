"""Readings as a CSV, JSON or Parquet table, one row per reading.

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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imil.data.cell_text import clean
from imil.data.column_names import find_column, find_near_miss
from imil.data.table_columns import find_delimiter, read_columns
from imil.errors import DataError
from imil.output_text import csv_cell, csv_value
from imil.readers.reading_row import NONE, Row, make_row

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


def load_rows(path: Path) -> list[Row]:
    """The rows of a CSV, JSON or Parquet file, in order.

    Raises: DataError: it cannot be read, or a row is invalid.
    """
    kind = path.suffix.lower()
    if kind == ".parquet":
        entries = _parquet(path)
    else:
        entries = _json(path, load_json(path)) if kind == ".json" else _csv(path, _text(path))
    return [make_row(entry, place) for place, entry in entries]


def load_json(path: Path) -> object:
    """The document in a JSON file of readings. Raises: DataError: it cannot be read."""
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the readings {path} are not valid JSON: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # keeps the line breaks in a reason
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"the readings {path} cannot be read: {cause}") from error


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


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    names, columns = read_columns(path, read_columns(path, ())[0])
    known = _column_names(path, names)
    for number, cells in enumerate(zip(*columns.values(), strict=True), start=1):
        yield f"{path}, row {number}", dict(zip(known, cells, strict=True))


def _json(path: Path, entries: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"the readings {path} are not a JSON list of objects with key and squares")
    for number, entry in enumerate(entries, start=1):
        yield f"{path}, entry {number}", entry
