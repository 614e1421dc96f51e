"""A table of final labels, with a column that names the images."""

from __future__ import annotations

from pathlib import Path

from imil.data.column_names import find_column
from imil.data.dicom_headers import header_column
from imil.data.reports.report import IMAGE, Entry, Report
from imil.data.table_columns import read_columns, read_names
from imil.errors import DataError
from imil.images.dicom_file import NAMED_BY

IMAGE_COLUMNS = ("image", "key", "file")  # in the order in which they are looked for


def read_report_table(path: Path, label_column: str, *, on_server: bool = False) -> Report:
    """The rows of a CSV or Parquet table.

    Args:
        on_server: images are not named by files.
    Raises: DataError: it cannot be read, or a column or a cell is missing.
    """
    names = read_names(path)
    label = find_column(names, label_column)
    if label is None:
        raise DataError(
            f"'{path}' has no column '{label_column}' but {', '.join(names)}: name the right one "
            "with --label-column"
        )
    of_files = () if on_server else IMAGE_COLUMNS
    image = next(filter(None, (find_column(names, name) for name in of_files)), None)
    named = (IMAGE, image) if image is not None else header_column(names)
    if named is None:
        raise DataError(
            f"'{path}' has none of the columns {', '.join((*of_files, *NAMED_BY))}: add the "
            "one that names the images"
        )
    keyword, column = named
    cells = read_columns(path, {column, label}, paths={column} if image else ())[1]
    entries = []
    for row, (name, value) in enumerate(zip(cells[column], cells[label], strict=True), start=1):
        if not name or not value:
            missing = "label" if name else column
            raise DataError(f"row {row} of '{path}' has no {missing}: add it, or remove the row")
        entries.append(Entry(((keyword, name),), value))
    report = Report(path, tuple(entries), "row", complete=True)
    report.by_name()  # each image once
    return report
