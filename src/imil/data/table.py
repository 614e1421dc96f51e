"""The table of images: class, split, patient and masks of each file."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.data.cell_text import find_file
from imil.data.class_folders import SPLITS, read_class_folders
from imil.data.column_names import NONE, find_column, find_near_miss
from imil.data.column_synonyms import (
    ask_about_patients,
    ask_about_splits,
    quoted,
    synonyms_of,
)
from imil.data.dicom_headers import header_column, patients, with_files
from imil.data.dicomweb import refuse_server
from imil.data.labels import read_labels
from imil.data.table_columns import TextColumns, read_columns, read_names
from imil.errors import DataError
from imil.images.load import check_end, image_size
from imil.images.whole_volumes import volume_mask_error


@dataclass(frozen=True)
class Columns:
    """The names of the columns. Those with their default name are optional, but for two.

    An optional column that is called `none` is not used, whatever the table has.

    Args:
        image: paths, absolute or relative to the table's folder. Required.
        label: whole numbers from 0, or names. Required.
        split: train, val or test.
        patient: identifies the patient; no patient is in two splits.
        class_name: the name of the label.
        masks: paths of masks, best first; a cell may be empty.
    """

    image: str = "image"
    label: str = "label"
    split: str = "split"
    patient: str = "patient"
    class_name: str = "class_name"
    masks: tuple[str, ...] = ("lesion_mask", "lung_mask")


DEFAULT = Columns()
REQUIRED = ("image", "label")


@dataclass(frozen=True, eq=False)
class Table:
    """N labelled images.

    Args:
        keys: N unique, stable names: the path as the table writes it, with `/`, in Unicode's NFC.
        images: N files.
        labels: int64 (N,), in [0, K).
        class_names: K names; the i-th belongs to label i.
        splits: `train`, `val` or `test` of each image, or None.
        patients: the patient of each image, or None.
        masks: for each mask column, best first, N files or None.
    """

    keys: tuple[str, ...]
    images: tuple[Path, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    splits: tuple[str, ...] | None
    patients: tuple[str, ...] | None
    masks: dict[str, tuple[Path | None, ...]]

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.keys)

    def select(self, indices: Sequence[int]) -> Table:
        """The table of these rows only, in this order; the classes stay the same."""
        rows = [int(i) for i in indices]
        return Table(
            keys=tuple(self.keys[i] for i in rows),
            images=tuple(self.images[i] for i in rows),
            labels=self.labels[rows],
            class_names=self.class_names,
            splits=None if self.splits is None else tuple(self.splits[i] for i in rows),
            patients=None if self.patients is None else tuple(self.patients[i] for i in rows),
            masks={name: tuple(files[i] for i in rows) for name, files in self.masks.items()},
        )


def read_data(path: Path, columns: Columns = DEFAULT) -> Table:
    """The table that a file or folder describes. No image is opened; `decode_images` does that.

    Args:
        path: a CSV or Parquet table, a folder of class folders (also within folders named
            train, val and test), or the Shenzhen or Montgomery folder as distributed.
        columns: the names of the table's columns; ignored for a folder.
    Raises: DataError: the data cannot be used, in one sentence.
    """
    refuse_server(path)
    path = Path(path)
    if path.is_dir():
        try:
            return _with_header_patients(_table(read_class_folders(path), path, DEFAULT))
        except OSError as error:
            raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    names, asked = read_names(path), columns
    keyword, by = "", None
    if asked.image == DEFAULT.image and find_column(names, asked.image) is None:
        # images are named by their DICOM headers
        keyword, by = header_column(names) or ("", None)
    if by is not None:
        names = [*(name for name in names if name != by), asked.image]
    columns = _resolve(asked, names, path)
    wanted = {name for field in fields(columns) for name in _names(columns, field.name) if name}
    # columns that may be the patient's or the split's, where no column is, and none was refused
    of_patients, of_splits = (
        synonyms_of(field, names, wanted)
        if not getattr(columns, field) and getattr(asked, field) != NONE
        else []
        for field in ("patient", "split")
    )
    _, cells = read_columns(
        path,
        wanted | set(of_patients) | set(of_splits) | ({by} if by else set()),
        paths={columns.image, *columns.masks},
    )
    if by is not None:
        cells = with_files(cells, keyword, by, path.parent)
    ask_about_patients(cells, of_patients)
    ask_about_splits(cells, of_splits)
    table = _table(cells, path.parent, columns, source=f"'{path}'")
    return table if asked.patient == NONE else _with_header_patients(table)


def _resolve(columns: Columns, present: Sequence[str], path: Path) -> Columns:
    """The columns by the names that the table has; those that it does not have are left out.

    Raises: DataError: a column that is needed is missing, or an optional one is misspelt.
    """
    resolved: dict[str, tuple[str, ...]] = {}
    missing: list[tuple[str, str]] = []
    for field in fields(columns):
        required = field.name in REQUIRED
        names = [n for n in _names(columns, field.name) if required or n != NONE]
        columns_found = [(name, find_column(present, name)) for name in names]
        for name, column in columns_found:
            if column is None and (required or name not in _names(DEFAULT, field.name)):
                raise DataError(
                    f"'{path}' has no column '{name}' but {', '.join(present)}: "
                    f"name the right one with --{_flag(field.name)}"
                )
            if column is None:
                missing.append((field.name, name))
        resolved[field.name] = tuple(column for _, column in columns_found if column is not None)
    used = {name for names in resolved.values() for name in names}
    for field_name, name in missing:
        if near := find_near_miss(present, name, used):
            flag = f"--{_flag(field_name)}"
            meant = {n: find_column(present, n) for n in _names(columns, field_name)} | {name: near}
            given = ",".join(column for column in meant.values() if column)
            raise DataError(
                f"column '{near}' looks like '{name}': give {flag} {quoted(given)}, or "
                f"{flag} {','.join(resolved[field_name]) or NONE} to leave it unused"
            )
    return replace(
        columns,
        masks=resolved.pop("masks"),
        **{name: (*names, "")[0] for name, names in resolved.items()},
    )


def _with_header_patients(table: Table) -> Table:
    """The table with the patients of its DICOM files, where it has no column of patients."""
    return replace(table, patients=patients(table.images)) if table.patients is None else table


def check_masks(table: Table, depth: int = 1) -> None:
    """Check that every mask exists, is complete and has the size of its image.

    Args:
        table: of N images.
        depth: above 1, images and masks are volumes.

    Only the headers and the ends of the files are read. Images that cannot be read are ignored
    here: `decode_images` reports them.

    Raises: DataError: masks are missing, truncated or of another size: how many, and the first
        three.
    """
    wrong = volume_mask_error if depth > 1 else _mask_error
    for column, files in table.masks.items():
        errors = [
            error
            for image, mask in zip(table.images, files, strict=True)
            if mask is not None and (error := wrong(image, mask))
        ]
        if errors:
            count = sum(mask is not None for mask in files)
            raise DataError(
                f"{len(errors)} of {count} masks in '{column}' cannot be used: "
                + "; ".join(errors[:3])
            )


def _mask_error(image: Path, mask: Path) -> str:
    """What is wrong with a mask; empty if nothing is."""
    try:
        size = image_size(mask)
        check_end(mask)
    except DataError as error:
        return str(error)
    try:
        expected = image_size(image)
    except DataError:
        return ""
    if size == expected:
        return ""
    return f"'{mask}' has {size[0]}×{size[1]} pixels, its image {expected[0]}×{expected[1]}"


def _names(columns: Columns, field: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(columns, field)
    return (value,) if isinstance(value, str) else value


def _flag(field: str) -> str:
    return "mask-columns" if field == "masks" else f"{field.replace('_', '-')}-column"


def _table(cells: TextColumns, base: Path, columns: Columns, source: str = "") -> Table:
    """The table from its cells, checked."""
    images = cells[columns.image]
    if not images:
        raise DataError(f"{source or base} has no rows: give at least one image of each class")
    keys = _keys(images)

    def row(i: int) -> str:
        return f"row {i + 1} ('{keys[i]}')"

    _check_unique(keys, row)
    labels, class_names = read_labels(cells[columns.label], cells.get(columns.class_name), row)
    split = cells.get(columns.split)
    patient = cells.get(columns.patient)
    return Table(
        keys=keys,
        images=tuple(find_file(base, _posix(image)) for image in images),
        labels=labels,
        class_names=class_names,
        splits=None if split is None else tuple(_split(s, row(i)) for i, s in enumerate(split)),
        patients=None if patient is None else tuple(_patients(patient, row)),
        masks={name: _files(cells[name], base) for name in columns.masks if name in cells},
    )


def _keys(cells: Sequence[str]) -> tuple[str, ...]:
    """Paths with `/` on every system, without `./` and `a/../`, composed (NFC)."""
    for i, cell in enumerate(cells):
        if not cell:
            raise DataError(f"row {i + 1} has no image: add its path, or remove the row")
        if "\0" in cell:
            raise DataError(
                f"row {i + 1} has the path {cell!r} with a zero byte: rewrite the table"
            )
    return tuple(unicodedata.normalize("NFC", _posix(cell)) for cell in cells)


def _posix(cell: str) -> str:
    return posixpath.normpath(cell.replace("\\", "/"))


def _check_unique(keys: Sequence[str], row: Callable[[int], str]) -> None:
    first: dict[str, int] = {}
    for i, key in enumerate(keys):
        if first.setdefault(key, i) != i:
            raise DataError(f"{row(i)} has the same image as row {first[key] + 1}: keep one")


def _split(cell: str, row: str) -> str:
    if cell.lower() not in SPLITS:
        value = f"the split '{cell}'" if cell else "no split"
        raise DataError(f"{row} has {value}: give train, val or test")
    return SPLITS[cell.lower()]


def _patients(cells: Sequence[str], row: Callable[[int], str]) -> Sequence[str]:
    for i, cell in enumerate(cells):
        if not cell:
            raise DataError(
                f"{row(i)} has no patient: add one in every row, or rename the column to ignore it"
            )
    return cells


def _files(cells: Sequence[str], base: Path) -> tuple[Path | None, ...]:
    return tuple(find_file(base, _posix(cell)) if cell else None for cell in cells)
