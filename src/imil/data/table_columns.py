"""The columns of a CSV or Parquet file, as text; other modules interpret the cells."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

from imil.data.cell_text import EDGE, clean, or_empty, trim
from imil.errors import DataError

TextColumns = dict[str, list[str]]  # equally long; an empty cell is ""
MAX_ROWS = 5_000_000
CSV, PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
TABLES = (*CSV, *PARQUET)  # suffixes
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte-order marks


def read_names(path: Path) -> list[str]:
    """The names of all columns.

    Raises: DataError: as `read_columns`.
    """
    return read_columns(path, ())[0]


def read_columns(
    path: Path, wanted: Collection[str], *, paths: Collection[str] = ()
) -> tuple[list[str], TextColumns]:
    """The names of all columns, and the cells of those wanted columns that exist.

    Spaces that do not break become spaces, characters without width are removed, and letters with
    accents are composed (NFC); in cells that are paths, that is done at their ends only.

    Args:
        path: .csv or .tsv (UTF-8; commas, semicolons or tabs), or .parquet.
        wanted: names of columns; others are not kept in memory.
        paths: the columns whose cells are paths.
    Raises: DataError: the file is missing, empty, or not such a table.
    """
    if not path.exists():
        raise DataError(f"'{path}' does not exist: give a table of images or a folder")
    if not path.is_file():  # a pipe would be waited for
        raise DataError(f"'{path}' is not a regular file: give a table of images or a folder")
    kind = path.suffix.lower()
    if kind not in TABLES:
        raise DataError(f"'{path}' has an unsupported format: give .csv or .parquet, or a folder")
    try:
        names, columns = (_csv if kind in CSV else _parquet)(path, wanted)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    return names, {
        name: [or_empty(trim(cell) if name in paths else clean(cell)) for cell in cells]
        for name, cells in columns.items()
    }


def _csv(path: Path, wanted: Collection[str]) -> tuple[list[str], TextColumns]:
    try:
        with path.open("rb") as file:
            if file.read(2) in UTF_16:
                raise DataError(f"'{path}' is in UTF-16: save it as CSV UTF-8")
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter, is_declared = find_delimiter(file)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            if is_declared:
                next(lines)
            names = [clean(name) for name in next(lines, [])]
            if any("\0" in name for name in names):
                raise DataError(f"the first line of '{path}' has zero bytes: save it as CSV UTF-8")
            if not any(names):
                raise DataError(f"'{path}' is empty: its first line must name the columns")
            _check_unique_names(names, path)
            cells = _csv_cells(lines, names, wanted, path) if wanted else {}
            return list(filter(None, names)), cells
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not in UTF-8: save it as CSV UTF-8") from error
    except csv.Error as error:
        raise DataError(f"'{path}' is not a valid CSV file: {error}") from error


def find_delimiter(file: IO[str]) -> tuple[str, bool]:
    """The delimiter, and whether a first line such as `sep=;` declares it.

    Args:
        file: at its start, where it is left.
    """
    header = file.readline()
    file.seek(0)
    declared = header.strip("\r\n").strip(EDGE).strip('"').lower()
    if declared.startswith("sep=") and len(declared) == len("sep=;"):
        return declared[-1], True
    return max(",;\t", key=header.count), False


def _csv_cells(lines: Any, names: list[str], wanted: Collection[str], path: Path) -> TextColumns:
    """The cells of the wanted columns; the lines come from a reader of the csv module."""
    kept = {name: i for i, name in enumerate(names) if name in wanted}
    # the first column of pandas, the index, has no name; other cells without one are a fault
    unnamed = [i for i, name in enumerate(names) if not name and i]
    columns: TextColumns = {name: [] for name in kept}
    for cells in lines:
        if not clean("".join(cells)):
            continue
        while len(cells) > len(names) and not clean(cells[-1]):
            cells.pop()
        if len(cells) != len(names):
            raise DataError(
                f"line {lines.line_num} of '{path}' has {len(cells)} cells, but the "
                f"first line names {len(names)} columns: quote cells that contain commas"
            )
        for i in unnamed:
            if clean(cells[i]):
                raise DataError(
                    f"column {i + 1} of '{path}' has no name, but the cell '{cells[i]}' in line "
                    f"{lines.line_num}: name it, or clear it"
                )
        for name, i in kept.items():
            columns[name].append(cells[i])
    return columns


def _parquet(path: Path, wanted: Collection[str]) -> tuple[list[str], TextColumns]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_size(file.metadata, path)
            stored = {clean(name): name for name in file.schema_arrow.names}
            names = [clean(name) for name in file.schema_arrow.names]
        _check_unique_names(names, path)  # Arrow cannot select one of two columns with one name
        kept = [name for name in names if name in wanted]
        # a long text that many rows share stays one text
        texts = [stored[name] for name in kept]
        with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read(columns=texts)
    except pyarrow.ArrowException as error:
        raise DataError(f"'{path}' is not a Parquet file, or is damaged") from error
    return names, {name: _texts(table[stored[name]], path) for name in kept}


def _check_size(metadata: Any, path: Path) -> None:
    """Raises: DataError: a small file would become a table too large for the memory."""
    if metadata.num_rows > MAX_ROWS:
        raise DataError(
            f"'{path}' has {metadata.num_rows:,} rows: expected at most {MAX_ROWS:,}, one for each "
            "image"
        )


def _texts(column: Any, path: Path) -> list[str]:
    """The cells as text, each text that is stored once kept once."""
    import pyarrow

    cells: list[str] = []
    for chunk in column.chunks:
        if not isinstance(chunk, pyarrow.DictionaryArray):
            cells += map(_text, chunk.to_pylist())
            continue
        values = [_text(value) for value in chunk.dictionary.to_pylist()]
        if max(map(len, values), default=0) > csv.field_size_limit():
            raise DataError(f"'{path}' has a cell of more than {csv.field_size_limit():,} letters")
        cells += ["" if i is None else values[i] for i in chunk.indices.to_pylist()]
    return cells


def _check_unique_names(names: list[str], path: Path) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise DataError(f"'{path}' has two columns '{repeated[0]}': rename one of them")


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)
