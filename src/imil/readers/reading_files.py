"""Files of readings in any format that is read, told by their content."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from imil.data.cell_text import clean
from imil.errors import DataError
from imil.readers.coco_file import coco_rows
from imil.readers.label_studio_file import is_label_studio, label_studio_rows
from imil.readers.mask_folder import mask_rows
from imil.readers.reading_row import Row
from imil.readers.reading_table import load_json, load_rows

FORMATS = (
    "a table (.csv, .parquet or .json), the JSON of COCO or Label Studio, or a folder of masks"
)


def load_readings(path: Path, share: float) -> list[Row]:
    """The readings of a file or folder.

    Args:
        path: a table, COCO or Label Studio JSON, or a folder of masks.
        share: of a square that marks must cover.
    Raises: DataError: it cannot be read, or is none of these.
    """
    kind = path.suffix.lower()
    if path.is_dir():
        return mask_rows(path, share)
    if kind == ".json":
        document = load_json(path)
        if isinstance(document, dict) and {"images", "annotations"} <= document.keys():
            return coco_rows(path, document, share)
        if isinstance(document, list) and document and is_label_studio(document):
            return label_studio_rows(path, document, share)
    elif kind not in (".csv", ".parquet"):
        raise DataError(f"{path} is not a file of readings: give {FORMATS}")
    return load_rows(path)


def match_names(rows: Sequence[Row], keys: Collection[str]) -> list[Row]:
    """The rows; those with marks have the keys of the samples, where names differ but for folders.

    Other tools give an image another folder, and a mask another ending. A table of squares has the
    keys of the samples, or belongs to others.

    Args:
        rows: of a file.
        keys: of all samples; none: nothing is matched.
    Raises: DataError: several samples have the file name of a row.
    """
    known = {clean(key) for key in keys}
    of_names: dict[str, list[str]] = {}
    for key in keys:
        of_names.setdefault(_file_name(key), []).append(key)
    matched = []
    for row in rows:
        found = of_names.get(_file_name(row.key), []) if row.is_from_tool else []
        if clean(row.key) in known or not found:
            matched.append(row)
            continue
        if len(found) > 1:
            raise DataError(
                f"{row.place}: '{row.key}' may be {' or '.join(map(repr, found[:3]))}: give it the "
                "path that the data have"
            )
        matched.append(replace(row, key=found[0]))
    return matched


def _file_name(key: str) -> str:
    """The name of the file without its ending; .nii.gz is one."""
    name = PurePosixPath(clean(key).replace("\\", "/")).name
    return PurePosixPath(name.removesuffix(".gz")).stem
