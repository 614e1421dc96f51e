"""Squares as people write them: `2 3 -4` selects 2 and 3 and marks 4 as misleading."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imil.grid import Grid

# a minus with nothing but a comma or a space before it; 5-8 and 5 - 8 are ranges
_MISLEADING = re.compile(r"(?<![^\s,])-(\d{1,4}(?:-\d{1,4})?)(?![^\s,])")


def squares_text(squares: Sequence[object]) -> str:
    """The squares one by one: a spreadsheet would read a range such as 5-8 as a date."""
    return " ".join(map(str, squares))


def signed_squares(squares: Sequence[int], misleading: Sequence[int]) -> str:
    """Selected squares, and misleading ones with a minus.

    >>> signed_squares([2, 3], [4])
    '2 3 -4'
    """
    return squares_text([*squares, *(-square for square in misleading)])


def read_signed(text: str, grid: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The selected and the misleading squares of a text.

    >>> read_signed("2 5-8 -3 -9-11", Grid(4, 4))
    ((2, 5, 6, 7, 8), (3, 9, 10, 11))

    Raises: SquareError: the text is not a list of squares of this grid.
    """
    misleading = " ".join(match[1] for match in _MISLEADING.finditer(text))
    return grid.read(_MISLEADING.sub(" ", text)), grid.read(misleading)
