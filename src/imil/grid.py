"""The grid over an image or a volume: squares to pixels, at any resolution.

Squares are numbered from 1, row by row, wherever a person sees them (paper 3.1); in a volume slab
by slab, where a slab is a stack of neighbouring slices and its squares are cuboids. A reading
stores squares; pixels are derived from them, so the same reading holds for the 3000-pixel image
that a reader looked at and for the 224-pixel view that a model is trained on.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError, SquareError

EXPECTED = "1 to 64, such as 4 or 4x6, or 4x4x3 for volumes"
S = TypeVar("S", bound=np.generic)
MAX_SIDE = 64  # rows, columns or slabs; past that a square is smaller than a 224-pixel view shows
MAX_SQUARES = MAX_SIDE * MAX_SIDE  # of which tables have room for a bit each


@dataclass(frozen=True, repr=False)
class Grid:
    """A grid of rows × cols squares, or of rows × cols × slabs cuboids.

    Args:
        rows: 1 to 64 (paper: 4).
        cols: 1 to 64 (paper: 4).
        slabs: of a volume, 1 to 64; None: the grid of an image.
    Raises: SettingsError: a number is out of range, or there are more than 4,096 cuboids.

    >>> Grid(4, 4).mask([1, 2], 4, 4).astype(int).tolist()
    [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    >>> Grid(1, 2, 2).labels(2, 1, 2).tolist()
    [[[1, 2]], [[3, 4]]]
    """

    rows: int = 4
    cols: int = 4
    slabs: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("rows", self.rows), ("columns", self.cols), ("slabs", self.slabs)):
            if value is None and name == "slabs":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
                raise SettingsError(f"invalid grid of {value} {name}: expected {EXPECTED}")
        if self.squares > MAX_SQUARES:
            raise SettingsError(
                f"invalid grid {self} of {self.squares} squares: expected at most {MAX_SQUARES}"
            )

    def __repr__(self) -> str:
        """As it is written in Python.

        >>> Grid(4, 6), Grid(4, 6, 3)
        (Grid(rows=4, cols=6), Grid(rows=4, cols=6, slabs=3))
        """
        slabs = "" if self.slabs is None else f", slabs={self.slabs}"
        return f"Grid(rows={self.rows}, cols={self.cols}{slabs})"

    @classmethod
    def parse(cls, text: str | int | Grid) -> Grid:
        """The grid written as `4`, `4x6` (rows × columns) or `4x6x3` (× slabs of a volume).

        Raises: SettingsError: the text is not a grid, or one of too many squares.

        >>> Grid.parse("4x6"), Grid.parse("4x6x3")
        (Grid(rows=4, cols=6), Grid(rows=4, cols=6, slabs=3))
        """
        if isinstance(text, Grid):
            return text
        number, times = r"\s*(\d{1,4})\s*", "[x×X]"
        match = re.fullmatch(f"{number}(?:{times}{number}(?:{times}{number})?)?", str(text))
        if not match:
            raise SettingsError(f"invalid grid '{text}': expected rows x columns of {EXPECTED}")
        rows = int(match[1])
        cols = int(match[2]) if match[2] else rows
        return cls(rows, cols, int(match[3]) if match[3] else None)

    def __str__(self) -> str:
        return "×".join(map(str, self.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, and slabs of a volume; `Grid(*shape)` is the grid again."""
        return (self.rows, self.cols) if self.slabs is None else (self.rows, self.cols, self.slabs)

    @property
    def rank(self) -> int:
        """2 for images, 3 for volumes."""
        return len(self.shape)

    @property
    def parts(self) -> tuple[int, ...]:
        """Into how many parts each axis of an array is cut: slabs first, then rows and columns."""
        return (self.rows, self.cols) if self.slabs is None else (self.slabs, self.rows, self.cols)

    @property
    def plane(self) -> Grid:
        """The grid of one slice.

        >>> Grid(4, 6, 3).plane
        Grid(rows=4, cols=6)
        """
        return self if self.slabs is None else Grid(self.rows, self.cols)

    @property
    def squares(self) -> int:
        """Number of squares, which is the last square's number."""
        return math.prod(self.shape)

    def box(self, square: int, *size: int) -> tuple[int, ...]:
        """Top, left, bottom, right of a square in pixels; bottom and right lie outside it.

        Of a cuboid: first slice, top, left, and the slice behind it, bottom, right; from 0.
        `check` tells whether the grid has that square.

        Args:
            square: its number, from 1.
            size: height and width, or slices, height and width.

        >>> Grid(4, 4).box(16, 512, 512)
        (384, 384, 512, 512)
        >>> Grid(2, 2, 2).box(6, 10, 8, 8)
        (5, 0, 4, 10, 4, 8)
        """
        sides = self._sides(size)
        at = np.unravel_index(square - 1, self.parts)
        first = [edge(int(i), n, length) for i, (n, length) in zip(at, sides, strict=True)]
        end = [edge(int(i) + 1, n, length) for i, (n, length) in zip(at, sides, strict=True)]
        return (*first, *end)

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

    def slab(self, index: int, slices: int) -> int:
        """In which slab a slice of a volume lies; both from 0.

        >>> [Grid(4, 4, 3).slab(index, 8) for index in range(8)]
        [0, 0, 0, 1, 1, 2, 2, 2]
        """
        return int(_bands(self.slabs or 1, slices)[index])

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

    def spread(self, values: NDArray[S], *size: int) -> NDArray[S]:
        """The value of the square that each pixel lies in, (..., height, width).

        Args:
            values: of each square, (..., squares).
            size: height and width in pixels, or slices, height and width.
        """
        table = values.reshape(*values.shape[:-1], *self.parts)
        # columns first, so that what is copied last are whole rows
        for back, (parts, length) in enumerate(reversed(self._sides(size)), start=1):
            table = table.take(_bands(parts, length), axis=-back)
        return table

    def labels(self, *size: int) -> NDArray[np.int32]:
        """The number of the square that each pixel lies in, (height, width).

        Args:
            size: as for `spread`.
        """
        return self.spread(np.arange(1, self.squares + 1, dtype=np.int32), *size)

    def mask(self, squares: Iterable[int], *size: int) -> NDArray[np.bool_]:
        """True where a pixel lies in one of the squares, (height, width).

        Args:
            squares: their numbers, from 1.
            size: as for `spread`.
        Raises: SquareError: the grid has no such square.
        """
        chosen = np.zeros(self.squares, bool)
        chosen[[square - 1 for square in self.check(squares)]] = True
        return self.spread(chosen, *size)

    def shares(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The share of each square that the mask covers, (squares,), in [0, 1].

        A square without a pixel (an image smaller than the grid) has share 0.

        Args:
            mask: (height, width), or (slices, height, width).
        """
        index = self.labels(*mask.shape).ravel() - 1
        pixels = np.bincount(index, minlength=self.squares)
        covered = np.bincount(index, weights=mask.ravel(), minlength=self.squares)
        share: NDArray[np.float64] = covered / np.maximum(pixels, 1)
        return share

    def _sides(self, size: tuple[int, ...]) -> list[tuple[int, int]]:
        """Parts and length of each axis. Raises: ShapeError: the grid has another rank."""
        if len(size) != self.rank:
            raise ShapeError(
                f"a grid {self} lies over {'volumes' if self.rank == 3 else 'images'}, not over "
                f"an array of the shape {size}: give rows and columns for images, and slabs too "
                "for volumes"
            )
        return list(zip(self.parts, size, strict=True))


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
