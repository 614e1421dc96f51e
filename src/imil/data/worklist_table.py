"""The table of a worklist that `imil round open` writes, read back."""

from __future__ import annotations

from pathlib import Path

from imil.data.table_columns import read_columns
from imil.output_text import csv_value

TABLE = "worklist.csv"


def worklist_files(folder: Path) -> dict[str, Path]:
    """Key of each image to its file, absolute; empty where the folder has no worklist.

    Raises: DataError: the table is damaged.
    """
    path = folder / TABLE
    if not path.exists():
        return {}
    cells = read_columns(path, {"image", "key"}, paths={"image", "key"})[1]
    return dict(zip(map(csv_value, cells["key"]), map(Path, cells["image"]), strict=True))
