"""Readings from a folder of masks: as `imil export --as masks-png` writes it, or masks alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from imil.errors import DataError
from imil.exports.answers import MISLEADING, RELEVANT
from imil.exports.masks import COLUMN, TABLE
from imil.images.load import SUFFIXES
from imil.output_text import csv_value
from imil.readers.marks import Marks, MaskFile
from imil.readers.reading_row import Row, make_row

NIFTI = (".nii", ".nii.gz")


def mask_rows(folder: Path, share: float) -> list[Row]:
    """A row for each reading of the folder's table, or for each mask where it has none.

    Without a table, a mask belongs to the image of the same name, whatever the ending and the
    folder; one that is all black is skipped.

    Raises: DataError: there are no masks, or one cannot be read.
    """
    table = folder / TABLE
    rows = list(_listed(table, share) if table.is_file() else _unlisted(folder, share))
    if not rows:
        raise DataError(f"{folder} has no masks: give a folder of PNG files, or a run's folder")
    return rows


def _listed(table: Path, share: float) -> Iterator[Row]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
        lines = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as CSV in UTF-8 ({error})") from None
    for number, line in enumerate(lines, start=2):
        place = f"{table}, row {number}"
        cells = {name: csv_value(cell) for name, cell in line.items() if isinstance(cell, str)}
        if COLUMN[RELEVANT] not in cells or "key" not in cells:
            raise DataError(f"{place} has no '{COLUMN[RELEVANT]}' or no 'key': add the column")
        relevant, misleading = (
            _masks(table.parent, cells.get(COLUMN[kind], ""), place)
            for kind in (RELEVANT, MISLEADING)
        )
        entry = {name: cell for name, cell in cells.items() if name not in ("squares", MISLEADING)}
        marks = Marks(relevant, misleading, share) if relevant or misleading else None
        yield make_row(entry, place, marks, is_from_tool=True)


def _masks(folder: Path, name: str, place: str) -> tuple[MaskFile, ...]:
    """The mask of a cell, if any. Raises: DataError: it is outside the folder, or not there."""
    if not name:
        return ()
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise DataError(f"{place}: there is no mask '{name}' in {folder}: put it there")
    return (MaskFile(path, is_ours=True),)


def _unlisted(folder: Path, share: float) -> Iterator[Row]:
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.name.lower().endswith((*SUFFIXES, *NIFTI)):
            continue
        key = path.relative_to(folder).as_posix()
        file = MaskFile(path)
        if file.load().mask.any():
            yield make_row({"key": key}, str(path), Marks((file,), (), share), is_from_tool=True)
        else:
            yield make_row(
                {"key": key, "verdict": "skip", "reason": "empty mask"},
                str(path),
                is_from_tool=True,
            )
