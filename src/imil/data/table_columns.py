"""The columns of a CSV or Parquet file, as text; other modules interpret the cells."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from imil.errors import DataError

TextColumns = dict[str, list[str]]  # equally long; an empty cell is ""
# how R, pandas and spreadsheets write a missing value; "none" may be a class
MISSING = {"", "na", "n/a", "nan", "<na>", "null", "#n/a"}


def read_names(path: Path) -> list[str]:
    """The names of all columns.

    Raises: DataError: as `read_columns`.
    """
    return read_columns(path, ())[0]


def read_columns(path: Path, wanted: Collection[str]) -> tuple[list[str], TextColumns]:
    """The names of all columns, and the cells of those wanted columns that exist.

    Args:
        path: .csv or .tsv (UTF-8; commas, semicolons or tabs), or .parquet.
        wanted: names of columns; others are not kept in memory.
    Raises: DataError: the file is missing, empty, or not such a table.
    """
    if not path.exists():
        raise DataError(f"'{path}' does not exist: give a table of images or a folder")
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".txt", ".parquet", ".pq"):
        raise DataError(f"'{path}' has an unsupported format: give .csv or .parquet, or a folder")
    try:
        names, columns = (_csv if kind in (".csv", ".tsv", ".txt") else _parquet)(path, wanted)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    _check_unique_names(names, path)
    return names, {
        name: ["" if cell.strip().lower() in MISSING else cell.strip() for cell in cells]
        for name, cells in columns.items()
    }


def _csv(path: Path, wanted: Collection[str]) -> tuple[list[str], TextColumns]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            lines = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
            names = [name.strip() for name in next(lines, [])]
            if not names:
                raise DataError(f"'{path}' is empty: its first line must name the columns")
            kept = {name: i for i, name in enumerate(names) if name in wanted}
            columns: TextColumns = {name: [] for name in kept}
            for cells in lines:
                if not "".join(cells).strip():
                    continue
                if len(cells) != len(names):
                    raise DataError(
                        f"line {lines.line_num} of '{path}' has {len(cells)} cells, but the "
                        f"first line names {len(names)} columns: quote cells that contain commas"
                    )
                for name, i in kept.items():
                    columns[name].append(cells[i])
            return names, columns
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not in UTF-8: save it as CSV UTF-8") from error
    except csv.Error as error:
        raise DataError(f"'{path}' is not a valid CSV file: {error}") from error


def _parquet(path: Path, wanted: Collection[str]) -> tuple[list[str], TextColumns]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            _check_unique_names(names, path)  # Arrow cannot select one of two columns with one name
            table = file.read(columns=[name for name in names if name in wanted])
    except pyarrow.ArrowException as error:
        raise DataError(f"'{path}' is not a Parquet file, or is damaged") from error
    return names, {name: list(map(_text, table[name].to_pylist())) for name in table.column_names}


def _check_unique_names(names: list[str], path: Path) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"'{path}' has two columns '{repeated[0]}': rename one of them")


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)
