"""The grid over an image: squares to pixels, at any resolution.

Squares are numbered from 1, row by row, wherever a person sees them (paper 3.1). A reading stores
squares; pixels are derived from them, so the same reading holds for the 3000-pixel image that a
reader looked at and for the 224-pixel view that a model is trained on.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, SquareError

S = TypeVar("S", bound=np.generic)
MAX_SIDE = 64  # rows or columns; past that a square is smaller than a 224-pixel view can show


@dataclass(frozen=True)
class Grid:
    """A grid of rows × cols squares.

    Args:
        rows: 1 to 64 (paper: 4).
        cols: 1 to 64 (paper: 4).
    Raises: SettingsError: rows or cols out of range.

    >>> Grid(4, 4).mask([1, 2], 4, 4).astype(int).tolist()
    [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    """

    rows: int = 4
    cols: int = 4

    def __post_init__(self) -> None:
        for name, value in (("rows", self.rows), ("columns", self.cols)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
                raise SettingsError(
                    f"invalid grid of {value} {name}: expected 1 to {MAX_SIDE}, such as 4 or 4x6"
                )

    @classmethod
    def parse(cls, text: str | int | Grid) -> Grid:
        """The grid written as `4` or `4x6` (rows × columns).

        Raises: SettingsError: the text is not a grid, or one of too many squares.

        >>> Grid.parse("4x6")
        Grid(rows=4, cols=6)
        """
        if isinstance(text, Grid):
            return text
        match = re.fullmatch(r"\s*(\d{1,4})\s*(?:[x×X]\s*(\d{1,4})\s*)?", str(text))
        if not match:
            raise SettingsError(
                f"invalid grid '{text}': expected rows x columns of 1 to {MAX_SIDE}, such as 4 "
                "or 4x6"
            )
        rows = int(match[1])
        return cls(rows, int(match[2]) if match[2] else rows)

    def __str__(self) -> str:
        return f"{self.rows}×{self.cols}"

    @property
    def squares(self) -> int:
        """Number of squares, which is the last square's number."""
        return self.rows * self.cols

    def box(self, square: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, bottom, right of a square in pixels; bottom and right lie outside it.

        `check` tells whether the grid has that square.

        >>> Grid(4, 4).box(16, 512, 512)
        (384, 384, 512, 512)
        """
        row, col = divmod(square - 1, self.cols)
        return (
            edge(row, self.rows, height),
            edge(col, self.cols, width),
            edge(row + 1, self.rows, height),
            edge(col + 1, self.cols, width),
        )

    def check(self, squares: Iterable[int]) -> tuple[int, ...]:
        """The squares in order, each once.

        Raises: SquareError: a square lies outside the grid, or is not a whole number.
        """
        given = list(squares)
        try:
            chosen = sorted({operator.index(square) for square in given})
        except TypeError as error:
            raise SquareError(
                f"invalid squares {given}: expected whole numbers from 1 to {self.squares}"
            ) from error
        outside = [square for square in chosen if not 1 <= square <= self.squares]
        if outside:
            named = ", ".join(map(str, outside[:8]))
            raise SquareError(f"squares {{{named}}} lie outside a {self} grid (1-{self.squares})")
        return tuple(chosen)

    def others(self, squares: Collection[int]) -> tuple[int, ...]:
        """The squares of the grid that are not among these.

        >>> Grid(2, 2).others([2, 3])
        (1, 4)
        """
        return tuple(one for one in range(1, self.squares + 1) if one not in squares)

    def read(self, text: str) -> tuple[int, ...]:
        """The squares written as `2 3 6 7`, `5-8`, `1,2` or `all`.

        >>> Grid(4, 4).read("2 3, 5-8")
        (2, 3, 5, 6, 7, 8)

        Raises: SquareError: the text is not a list of squares of this grid.
        """
        if text.strip().lower() == "all":
            return tuple(range(1, self.squares + 1))
        chosen: list[int] = []
        for word in re.sub(r"\s*-\s*", "-", text).replace(",", " ").split():
            match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", word)
            if not match:
                raise SquareError(
                    f"invalid square '{word}': expected numbers from 1 to {self.squares}, "
                    "ranges such as 5-8, or 'all'"
                )
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                raise SquareError(f"invalid range '{word}': write {last}-{first}")
            chosen += range(first, last + 1)
        return self.check(chosen)

    def spread(self, values: NDArray[S], height: int, width: int) -> NDArray[S]:
        """The value of the square that each pixel lies in, (..., height, width).

        Args:
            values: of each square, (..., squares).
            height, width: in pixels.
        """
        table = values.reshape(*values.shape[:-1], self.rows, self.cols)
        rows = table[..., _bands(self.cols, width)]
        return rows[..., _bands(self.rows, height), :]

    def labels(self, height: int, width: int) -> NDArray[np.int32]:
        """The number of the square that each pixel lies in, (height, width)."""
        return self.spread(np.arange(1, self.squares + 1, dtype=np.int32), height, width)

    def mask(self, squares: Iterable[int], height: int, width: int) -> NDArray[np.bool_]:
        """True where a pixel lies in one of the squares, (height, width).

        Raises: SquareError: the grid has no such square.
        """
        chosen = np.zeros(self.squares, bool)
        chosen[[square - 1 for square in self.check(squares)]] = True
        return self.spread(chosen, height, width)

    def shares(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The share of each square that the mask covers, (squares,), in [0, 1].

        A square without a pixel (an image smaller than the grid) has share 0.
        """
        height, width = mask.shape
        index = self.labels(height, width).ravel() - 1
        pixels = np.bincount(index, minlength=self.squares)
        covered = np.bincount(index, weights=mask.ravel(), minlength=self.squares)
        share: NDArray[np.float64] = covered / np.maximum(pixels, 1)
        return share


def edge(i: int, parts: int, length: int) -> int:
    """Where the i-th of the edges between equal parts lies: i × length / parts, half up.

    Integer arithmetic, so that every language and resolution agrees; Python's own `round`
    goes to the even neighbour.
    """
    return (2 * i * length + parts) // (2 * parts)


def _bands(parts: int, length: int) -> NDArray[np.intp]:
    """The band (0-based) in which each of `length` pixels lies."""
    edges = [edge(i, parts, length) for i in range(1, parts)]
    return np.searchsorted(np.asarray(edges, np.intp), np.arange(length), side="right")
