"""A worklist of images, with the final labels that a report gives them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from imil.data.cell_text import clean, find_file
from imil.data.column_names import find_column
from imil.data.dicom_headers import identity
from imil.data.reports.report import IMAGE, Name, Report
from imil.data.table import DEFAULT, Table
from imil.data.table_columns import TABLES, read_columns, read_names
from imil.errors import DataError
from imil.images.file_parts import split_part
from imil.training.predict_images import find_inputs


@dataclass(frozen=True, eq=False)
class Worklist:
    """Images with labels of the report, and those without.

    Args:
        table: of the images with a label; their classes are the model's.
        unreported: keys of images that the report does not have.
        unused: how many of several clinical reports have no image here.
    """

    table: Table
    unreported: tuple[str, ...]
    unused: int


def read_worklist(
    data: Path, report: Report, class_names: Sequence[str], *, image_column: str = "image"
) -> Worklist:
    """The images of a worklist, with the labels of a report.

    Args:
        data: a folder of images, or a table with a column of paths; columns of masks are used.
        report: the final labels.
        class_names: of the model; the labels of the report are among them.
        image_column: of `data`, where that is a table.
    Raises: DataError: one cannot be read, a label is none of the classes, a row of the report
        has no image, or no image has a row.
    """
    files = find_inputs([data], image_column)
    base = data if data.is_dir() else data.parent
    keys = [_key(file, base) for file in files]
    found = _entries(report, files, keys)
    labels = ["" if number is None else report.entries[number].label for number in found]
    known = [i for i in range(len(files)) if labels[i]]
    if not known:
        raise DataError(
            f"'{report.source}' has a label for none of the {len(files)} images of '{data}'"
        )
    numbers = {clean(name).casefold(): number for number, name in enumerate(class_names)}
    for i in known:
        if labels[i].casefold() not in numbers:
            raise DataError(
                f"'{report.source}' has the label '{labels[i]}' for '{keys[i]}': expected one of "
                f"the model's classes, {', '.join(class_names)}"
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
    return Worklist(table, tuple(left), len(report.entries) - len(set(found) - {None}))


def _key(file: Path, base: Path) -> str:
    try:
        name = file.relative_to(base)
    except ValueError:
        name = file
    return unicodedata.normalize("NFC", name.as_posix())


def _entries(report: Report, files: Sequence[Path], keys: Sequence[str]) -> list[int | None]:
    """The number of the report's entry for each image, None where there is none.

    Raises: DataError: a row of a table has no image, or a file name fits several.
    """
    numbers = report.by_name()
    if IMAGE in report.keywords:
        names = _matched([name for _, name in numbers], keys, report.source)
        found = [None if name is None else numbers[IMAGE, name] for name in names]
    else:
        found = [_by_header(numbers, file) for file in files]
    unused = set(numbers.values()) - set(found)
    if unused and report.complete:
        raise DataError(
            f"{len(unused)} rows of '{report.source}' name no image of the worklist, row "
            f"{min(unused) + 1} the first: remove them, or add the images"
        )
    return found


def _by_header(numbers: Mapping[Name, int], file: Path) -> int | None:
    """The entry that names the file most exactly: by its own UID before its study's."""
    stated = identity(split_part(file)[0])
    return next((numbers[name] for name in stated.items() if name in numbers), None)


def _matched(rows: Sequence[str], keys: Sequence[str], report: Path) -> list[str | None]:
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
    return [found.get(key) for key in keys]


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
