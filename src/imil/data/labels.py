"""Labels as a table writes them, to numbers from 0 and the names of the classes."""

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
        cells: N labels as text; "" is none.
        names: the class names of the rows, where there is such a column.
        row: how row i is called in a message.
    Raises: DataError: a label is no class, there is one class only, or a class has two names.
    """
    for i, cell in enumerate(cells):
        if not cell:
            raise DataError(f"{row(i)} has no label: give it one, or take the row out")
    if any(map(NUMBER.fullmatch, cells)):
        numbers = [_number(cell, row(i)) for i, cell in enumerate(cells)]
        called = {number: str(number) for number in numbers}
    else:
        called = dict(enumerate(sorted(set(cells))))
        numbered = {name: number for number, name in called.items()}
        numbers = [numbered[cell] for cell in cells]
    if names is not None:
        called = _pairs(numbers, cells, names, row)
    _check_numbers(sorted(called), called)
    return np.array(numbers, np.int64), tuple(called[i] for i in range(len(called)))


def _number(cell: str, row: str) -> int:
    value = float(cell) if NUMBER.fullmatch(cell) else -1.0
    if value < 0 or not value.is_integer():
        raise DataError(f"{row} has the label '{cell}': give whole numbers from 0, or only names")
    return int(value)


def _check_numbers(present: list[int], called: dict[int, str]) -> None:
    if len(present) == 1:
        raise DataError(f"every row is of the class '{called[present[0]]}': give two or more")
    gap = next((i for i, number in enumerate(present) if i != number), None)
    if gap is not None:
        some = ", ".join(map(str, present[:6])) + (", …" if len(present) > 6 else "")
        raise DataError(
            f"no row has the label {gap} (there are {some}): "
            "number the classes from 0 without a gap, or use names"
        )


def _pairs(
    numbers: Sequence[int], cells: Sequence[str], names: Sequence[str], row: Callable[[int], str]
) -> dict[int, str]:
    """The one name of each class, and no name twice."""
    first: dict[int, int] = {}  # class -> the row that named it
    owner: dict[str, int] = {}
    for i, (number, name) in enumerate(zip(numbers, names, strict=True)):
        if not name:
            raise DataError(f"{row(i)} has no class name: give it one, or drop the column")
        j = first.setdefault(number, i)
        if names[j] != name:
            raise DataError(
                f"the label {cells[i]} is called '{names[j]}' in {row(j)} and '{name}' in "
                f"{row(i)}: give each class one name"
            )
        if owner.setdefault(name, number) != number:
            other = cells[first[owner[name]]]
            raise DataError(
                f"'{name}' is the name of the labels {other} and {cells[i]}: "
                "give each class a name of its own"
            )
    return {number: names[i] for number, i in first.items()}
