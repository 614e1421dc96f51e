"""Labels of a table, converted to numbers from 0 and class names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.errors import DataError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def read_labels(
    cells: Sequence[str], names: Sequence[str] | None, row: Callable[[int], str]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels in [0, K), (N,), and the K class names.

    Numbers stay as they are and must be 0 to K - 1; names are numbered in sorted order.

    Args:
        cells: N labels as text; "" is missing.
        names: the class name of each row, if there is such a column.
        row: the name of row i in a message.
    Raises: DataError: a label is invalid, there is only one class, or a class has two names.
    """
    for i, cell in enumerate(cells):
        if not cell:
            raise DataError(f"{row(i)} has no label: add one, or remove the row")
    if any(map(NUMBER.fullmatch, cells)):
        numbers = [_number(cell, row(i)) for i, cell in enumerate(cells)]
        name_of = {number: str(number) for number in numbers}
    else:
        name_of = dict(enumerate(sorted(set(cells))))
        number_of = {name: number for number, name in name_of.items()}
        numbers = [number_of[cell] for cell in cells]
    if names is not None:
        name_of = _class_names(numbers, cells, names, row)
    _check_numbers(sorted(name_of), name_of)
    return np.array(numbers, np.int64), tuple(name_of[i] for i in range(len(name_of)))


def _number(cell: str, row: str) -> int:
    value = float(cell) if NUMBER.fullmatch(cell) else -1.0
    if value < 0 or not value.is_integer():
        raise DataError(f"{row} has the label '{cell}': give whole numbers from 0, or only names")
    return int(value)


def _check_numbers(present: list[int], name_of: dict[int, str]) -> None:
    if len(present) == 1:
        raise DataError(f"every row has the class '{name_of[present[0]]}': give two or more")
    gap = next((i for i, number in enumerate(present) if i != number), None)
    if gap is not None:
        first = ", ".join(map(str, present[:6])) + (", …" if len(present) > 6 else "")
        raise DataError(
            f"no row has the label {gap} (the labels are {first}): "
            "number the classes from 0 without a gap, or use names"
        )


def _class_names(
    numbers: Sequence[int], cells: Sequence[str], names: Sequence[str], row: Callable[[int], str]
) -> dict[int, str]:
    """The name of each class; each class has one name, and each name is of one class."""
    first: dict[int, int] = {}  # class -> the row that named it
    class_of: dict[str, int] = {}
    for i, (number, name) in enumerate(zip(numbers, names, strict=True)):
        if not name:
            raise DataError(f"{row(i)} has no class name: add one, or remove the column")
        j = first.setdefault(number, i)
        if names[j] != name:
            raise DataError(
                f"the label {cells[i]} has the class name '{names[j]}' in {row(j)} and '{name}' in "
                f"{row(i)}: give each class one name"
            )
        if class_of.setdefault(name, number) != number:
            other = cells[first[class_of[name]]]
            raise DataError(
                f"the labels {other} and {cells[i]} have the same class name '{name}': "
                "give each class its own name"
            )
    return {number: names[i] for number, i in first.items()}
