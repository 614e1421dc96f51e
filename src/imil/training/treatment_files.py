"""What a treatment wrote in a run's folder: the field of view, and its decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imil.errors import SettingsError, SquareError
from imil.grid import Grid
from imil.json_files import damaged_file, read_json, read_table

REMEDY = "put a copy in its place, or train anew with another --out"


def read_field(path: Path) -> tuple[Grid, tuple[int, ...]]:
    """The grid and the squares of it that the network sees. Raises: DataError: damaged."""
    values = read_table(path, REMEDY)
    try:
        grid = Grid(*values["grid"])
        return grid, grid.check(values["squares"])
    except (KeyError, TypeError, ValueError, SettingsError, SquareError):
        raise damaged_file(path, REMEDY) from None


def read_decisions(path: Path) -> list[dict[str, Any]]:
    """What the treatment decided in each round. Raises: DataError: damaged."""
    rows = read_json(path, REMEDY)
    if not isinstance(rows, list) or not all(map(_is_decision, rows)):
        raise damaged_file(path, REMEDY)
    return rows


def _is_decision(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("epoch"), int)
