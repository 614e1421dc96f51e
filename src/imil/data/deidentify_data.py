"""A folder or a table of DICOM files, de-identified with its labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from imil.atomic_files import atomic_write
from imil.data.deidentify import Deidentified, deidentify, find_dicom_files
from imil.data.table import Table, read_data
from imil.errors import DataError
from imil.images.file_parts import split_part

MANIFEST = "manifest.csv"


def deidentify_data(
    source: Path, out: Path, *, remove: Iterable[str] = (), keep_burned_in: bool = False
) -> Deidentified:
    """De-identify what a folder or table names; of a table, write the labels too.

    Args:
        source: a folder of DICOM files, or a table as `imil train` takes it.
        out: a new or empty folder.
        remove: keywords of further elements to remove.
        keep_burned_in: write files that say or seem to have text in their pixels too.
    Raises: DataError, SettingsError: the source cannot be read, or as `deidentify`.
    """
    if source.is_dir():
        files, table = find_dicom_files(source), None
    else:
        table = read_data(source)
        files = list(dict.fromkeys(split_part(path)[0] for path in table.images))
        folders = [path for path in files if path.is_dir()]
        if folders:
            raise DataError(
                f"'{source}' names the folder '{folders[0]}': give the folder of the series alone, "
                "not the table"
            )
    result = deidentify(files, out, remove=remove, keep_burned_in=keep_burned_in)
    if table is not None:
        _write_manifest(out / MANIFEST, table, result)
    return result


def _write_manifest(path: Path, table: Table, result: Deidentified) -> None:
    """The table with the new names; masks are left out, for their names are the old ones."""
    splits = table.splits or ("",) * len(table)
    header = ["image", "label", "class_name", "patient", *(["split"] if table.splits else [])]
    rows = []
    for image, label, split in zip(table.images, table.labels.tolist(), splits, strict=True):
        source, part = split_part(image)
        if source not in result.written:
            continue
        new, patient = result.written[source]
        name = new.name if part is None else f"{new.name}#{part}"
        rows.append([name, label, table.class_names[label], patient, *([split] if split else [])])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *sorted(rows)])


def write_key(path: Path, result: Deidentified) -> None:
    """Which source each new file has; with it, the patients can be identified again."""
    with atomic_write(path) as half, half.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "file", "patient"])
        for source, (new, patient) in sorted(result.written.items()):
            writer.writerow([source, new.name, patient])
