"""JSON files that may be damaged or come from anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imil.errors import DataError


def read_json(path: Path, remedy: str) -> Any:
    """The content of a JSON file.

    Args:
        remedy: what to do where it is damaged, such as `delete it`.
    Raises:
        DataError: it cannot be read, is not JSON, or is nested too deeply.
        FileNotFoundError: it does not exist.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):  # a ValueError: also of digits without end
        raise damaged_file(path, remedy) from None


def read_table(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file, as a dict. Raises: as `read_json`, also where it is no object."""
    values = read_json(path, remedy)
    if not isinstance(values, dict):
        raise damaged_file(path, remedy)
    return values


def damaged_file(path: Path, remedy: str) -> DataError:
    """The error of a file that does not hold what it should."""
    return DataError(f"{path} is damaged: {remedy}")
