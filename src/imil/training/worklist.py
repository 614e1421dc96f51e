"""A worklist of images, with the final labels that a report gives them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from imil.data.cell_text import clean, find_file
from imil.data.column_names import find_column
from imil.data.dicom_headers import BY_HEADER, header_column
from imil.data.table import DEFAULT, Table
from imil.data.table_columns import TextColumns, read_columns, read_names
from imil.errors import DataError
from imil.images.dicom_header_values import dicom_identity_of
from imil.images.file_parts import split_part
from imil.training.predict_images import TABLES, find_inputs

IMAGE_COLUMNS = ("image", "key", "file")  # of a report, in the order in which they are looked for


@dataclass(frozen=True, eq=False)
class Worklist:
    """Images with labels of the report, and those without.

    Args:
        table: of the images with a label; their classes are the model's.
        unreported: keys of images that the report does not have.
    """

    table: Table
    unreported: tuple[str, ...]


def read_worklist(
    data: Path,
    report: Path,
    class_names: Sequence[str],
    *,
    image_column: str = "image",
    label_column: str = "label",
) -> Worklist:
    """The images of a worklist, with the labels of a report.

    Args:
        data: a folder of images, or a table with a column of paths; columns of masks are used.
        report: a CSV or Parquet table with a final label for each image, which it names by its
            path, by its file name, or by SOPInstanceUID or PatientID.
        class_names: of the model; the labels of the report are among them.
        image_column: of `data`, where that is a table.
        label_column: of the report.
    Raises: DataError: one cannot be read, a label is none of the classes, a row of the report
        has no image, or no image has a row.
    """
    files = find_inputs([data], image_column)
    base = data if data.is_dir() else data.parent
    keys = [_key(file, base) for file in files]
    labels = _labels(report, files, keys, label_column)
    known = [i for i in range(len(files)) if labels[i]]
    if not known:
        raise DataError(f"'{report}' has a label for none of the {len(files)} images of '{data}'")
    numbers = {clean(name).casefold(): number for number, name in enumerate(class_names)}
    for i in known:
        if labels[i].casefold() not in numbers:
            raise DataError(
                f"'{report}' has the label '{labels[i]}' for '{keys[i]}': expected one of the "
                f"model's classes, {', '.join(class_names)}"
            )
    masks = _masks(data, len(files))
    table = Table(
        keys=tuple(keys[i] for i in known),
        images=tuple(files[i] for i in known),
        labels=np.array([numbers[labels[i].casefold()] for i in known], np.int64),
        class_names=tuple(class_names),
        splits=None,
        patients=None,
        masks={name: tuple(paths[i] for i in known) for name, paths in masks.items()},
    )
    left = [keys[i] for i in range(len(files)) if not labels[i]]
    return Worklist(table, tuple(left))


def _key(file: Path, base: Path) -> str:
    try:
        name = file.relative_to(base)
    except ValueError:
        name = file
    return unicodedata.normalize("NFC", name.as_posix())


def _labels(report: Path, files: Sequence[Path], keys: Sequence[str], column: str) -> list[str]:
    """The label of each image, "" where the report has none."""
    names = read_names(report)
    label = find_column(names, column)
    if label is None:
        raise DataError(
            f"'{report}' has no column '{column}' but {', '.join(names)}: name the right one with "
            "--label-column"
        )
    image = next(filter(None, (find_column(names, name) for name in IMAGE_COLUMNS)), None)
    by_header = None if image else header_column(names)
    named = image or by_header
    if named is None:
        raise DataError(
            f"'{report}' has none of the columns {', '.join((*IMAGE_COLUMNS, *BY_HEADER))}: add "
            "the one that names the images"
        )
    cells = read_columns(report, {named, label}, paths={named})[1]
    rows = _rows(report, cells, named, label)
    if by_header:
        place = 0 if find_column([by_header], BY_HEADER[0]) else 1
        of_images = [_identity(file)[place] for file in files]
    else:
        of_images = _matched(rows, keys, report)
    unused = set(rows) - set(of_images)
    if unused:
        first = min(list(rows).index(name) for name in unused) + 1
        raise DataError(
            f"{len(unused)} rows of '{report}' name no image of the worklist, row {first} the "
            "first: remove them, or add the images"
        )
    return [rows.get(name, "") for name in of_images]


def _rows(report: Path, cells: TextColumns, named: str, label: str) -> dict[str, str]:
    rows: dict[str, str] = {}
    for i, (name, value) in enumerate(zip(cells[named], cells[label], strict=True)):
        if not name or name in rows:
            what = "the same image as an earlier row" if name else "no image"
            raise DataError(f"row {i + 1} of '{report}' has {what}: give each once")
        if not value:
            raise DataError(f"row {i + 1} of '{report}' has no label: add it, or remove the row")
        rows[name] = value
    return rows


def _identity(file: Path) -> tuple[str, str]:
    try:
        return dicom_identity_of(split_part(file)[0])
    except DataError:  # decoding reports it
        return "", ""


def _matched(rows: Mapping[str, str], keys: Sequence[str], report: Path) -> list[str]:
    """The name in the report of each image: its path, or else its file name alone."""
    given = {
        unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).as_posix()): name
        for name in rows
    }
    by_name: dict[str, list[str]] = {}
    for key in keys:
        by_name.setdefault(PurePosixPath(key).name, []).append(key)
    found: dict[str, str] = {}
    for path, name in given.items():
        if path in keys:
            found[path] = name
            continue
        same = by_name.get(PurePosixPath(path).name, [])
        if len(same) > 1:
            raise DataError(
                f"'{report}' names '{name}', and the worklist has {len(same)} files of that name, "
                f"such as '{same[0]}' and '{same[1]}': give their paths"
            )
        if same:
            found.setdefault(same[0], name)
    return [found.get(key, "") for key in keys]


def _masks(data: Path, count: int) -> dict[str, tuple[Path | None, ...]]:
    """The columns of masks of a table of images; empty for a folder."""
    if data.is_dir() or data.suffix.lower() not in TABLES:
        return {}
    names = read_names(data)
    present = [column for name in DEFAULT.masks if (column := find_column(names, name))]
    cells = read_columns(data, set(present), paths=set(present))[1] if present else {}
    return {
        name: tuple(
            find_file(data.parent, cell.replace("\\", "/")) if cell else None
            for cell in cells[name]
        )
        for name in present
        if len(cells[name]) == count
    }
