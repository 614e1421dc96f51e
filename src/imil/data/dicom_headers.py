"""What the headers of DICOM files say about a table's rows: the file, and the patient.

Patients are numbered in the order in which they come: no identifier from a header is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imil.data.column_names import find_column
from imil.data.folder_entries import FolderTree, is_image, visible
from imil.data.table_columns import TextColumns
from imil.errors import DataError
from imil.images.dicom_file import NAMED_BY
from imil.images.dicom_header_values import dicom_identity_of
from imil.images.file_parts import split_part
from imil.images.load import DICOM_MARK


def header_column(names: Sequence[str]) -> tuple[str, str] | None:
    """The keyword that names images by their headers, and its column; None if there is none.

    >>> header_column(["label", "patientid"])
    ('PatientID', 'patientid')
    """
    found = ((keyword, find_column(names, keyword)) for keyword in NAMED_BY)
    return next(((keyword, name) for keyword, name in found if name is not None), None)


def with_files(cells: TextColumns, keyword: str, column: str, folder: Path) -> TextColumns:
    """The cells with the column `image`: a row for each DICOM file below the folder.

    Args:
        cells: of a table.
        keyword: one of `NAMED_BY`, which names the images.
        column: of it, as the table writes it; of a study or a patient with several files, each has
            a row.
        folder: of the table.
    Raises: DataError: a row has no file, a file no row, or two rows are of the same.
    """
    rows: dict[str, int] = {}
    for i, cell in enumerate(cells[column]):
        if not cell or rows.setdefault(cell, i) != i:
            what = "the same as an earlier row" if cell else "empty"
            raise DataError(f"row {i + 1}: '{column}' is {what}: give each once")
    files = {path: identity(path)[keyword] for path in dicom_files(folder)}
    unlabelled = [path for path, name in files.items() if name not in rows]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled)} DICOM files have no row, '{unlabelled[0]}' the first: add rows "
            f"with their {column}, or move the files elsewhere"
        )
    missing = set(rows) - set(files.values())
    if missing:
        first = min(rows[name] for name in missing)
        raise DataError(
            f"{len(missing)} rows have no DICOM file in '{folder}', row {first + 1} the first: add "
            "the files, or remove the rows"
        )
    order = sorted(files, key=lambda path: (rows[files[path]], path))
    at = [rows[files[path]] for path in order]
    result = {name: [values[i] for i in at] for name, values in cells.items()}
    return result | {"image": [path.relative_to(folder).as_posix() for path in order]}


def patients(images: Sequence[Path]) -> tuple[str, ...] | None:
    """A name for the patient of each image, `patient 1` and so on; None if nothing tells them.

    Images of one file are of one patient. A file without a PatientID, or that cannot be read, is a
    patient of its own.
    """
    parts = [split_part(path) for path in images]
    dicom = {file: _may_be_dicom(file) for file, _ in parts}
    if not any(dicom.values()) and all(part is None for _, part in parts):
        return None
    stated = {file: identity(file)["PatientID"] for file, is_dicom in dicom.items() if is_dicom}
    numbers: dict[str, int] = {}
    names = []
    for file, _ in parts:
        known = f"patient {stated[file]}" if stated.get(file) else f"file {file}"
        names.append(f"patient {numbers.setdefault(known, len(numbers) + 1)}")
    return tuple(names)


def identity(path: Path) -> dict[str, str]:
    """What names a DICOM file (`NAMED_BY`); "" where it cannot be read, as decoding reports."""
    try:
        return dicom_identity_of(path)
    except DataError:
        return dict.fromkeys(NAMED_BY, "")


def _may_be_dicom(path: Path) -> bool:
    """Whether it is a DICOM file, or a folder, which may be a series."""
    if path.is_dir():
        return True
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == DICOM_MARK
    except OSError:
        return False


def dicom_files(folder: Path, tree: FolderTree | None = None) -> list[Path]:
    """The DICOM files below a folder, sorted.

    Raises: DataError: there is a file that may be an image and cannot be known.
    """
    tree = tree or FolderTree()
    tree.enter(folder)
    found: list[Path] = []
    for path in visible(folder):
        if path.is_dir():
            found += dicom_files(path, tree)
        elif is_image(path) and _may_be_dicom(path):
            found.append(path)
    return found
