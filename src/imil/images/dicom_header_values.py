"""Questions to the headers of DICOM files, by the names that tables and folders give images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imil.errors import DataError
from imil.images.dicom_file import (
    dicom_frames,
    dicom_identity,
    dicom_says_burned_in,
    errors_without_text,
    read_tags,
)
from imil.images.dicom_volume import series_files
from imil.images.file_parts import split_part
from imil.images.opened_file import DICOM_MARK, data_errors, kind_of_file, opened_file


def dicom_identity_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """The UIDs and numbers that name a DICOM file (`NAMED_BY`); not to be written anywhere.

    Of a folder, those of its first file. Raises: DataError: it cannot be read.
    """
    with opened_file(files_of(path)[0]) as (file, _):
        return dicom_identity(file)


def frame_names(path: Path) -> list[Path]:
    """The name of each image of a DICOM file: its own, or one for each of several frames.

    Raises: DataError: it cannot be read.
    """
    with opened_file(path) as (file, _):
        count = dicom_frames(file)
    if count == 1:
        return [path]
    return [path.with_name(f"{path.name}#frame={n}") for n in range(1, count + 1)]


@contextmanager
def opened_dicom(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The whole data set of a DICOM file, which may name a patient.

    What goes wrong with it within the block becomes a DataError that names the file and quotes
    nothing of it.

    Raises: DataError: it is not a DICOM file, or cannot be read.
    """
    with opened_file(path) as (file, part):
        if kind_of_file(file, part) != "DICOM":
            raise DataError("is not a DICOM file: expected one")
        with errors_without_text():
            yield read_tags(file, None)


def says_burned_in(path: str | os.PathLike[str]) -> bool:
    """Whether a file's header says that its pixels have text or show a face: DICOM alone may.

    Of a series, whether one of its files says so. Raises: DataError: it cannot be read.
    """
    return any(map(_says_burned_in, files_of(path)))


def _says_burned_in(path: Path) -> bool:
    with opened_file(path) as (file, _):
        if file.read(132)[128:] != DICOM_MARK:
            return False
        return dicom_says_burned_in(file)


def files_of(path: str | os.PathLike[str]) -> list[Path]:
    """The files that hold the image of a name: its own, or those of a DICOM series.

    Raises: DataError: it names a folder of something else.
    """
    name, _ = split_part(path)
    if not name.is_dir():
        return [name]
    with data_errors(name):
        return series_files(name)
