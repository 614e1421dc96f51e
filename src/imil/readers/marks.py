"""Marks on an image as other tools write them, and the squares that they select on a grid.

A mark selects a square when the marks of its kind together cover at least a stated share of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imil.errors import DataError
from imil.grid import Grid
from imil.images.load import load_image, load_mask
from imil.images.nifti import load_nifti_mask

SHARE = 0.5  # of a square
SIDE = 2048  # samples along a side of the image, by which the area of polygons is measured
Covered = NDArray[np.bool_]


class Shape(Protocol):
    """A part of an image."""

    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels of a mask; None for a shape that has no pixels."""
        ...

    def covered(self, height: int, width: int) -> Covered:
        """True at the pixels of an image of this size whose centres it covers."""
        ...


@dataclass(frozen=True)
class Polygon:
    """What the edges of some closed lines enclose, by the even-odd rule.

    Args:
        points: x and y of each corner in shares of the image's width and height.
    """

    points: tuple[tuple[float, float], ...]

    @classmethod
    def box(cls, left: float, top: float, width: float, height: float) -> Polygon:
        """A box, in shares of the image's width and height."""
        right, bottom = left + width, top + height
        return cls(((left, top), (right, top), (right, bottom), (left, bottom)))

    def size(self) -> None:
        """None: it has no pixels."""

    def covered(self, height: int, width: int) -> Covered:
        """True at the pixels whose centres it covers."""
        rows = (np.arange(height) + 0.5) / height
        cols = (np.arange(width) + 0.5) / width
        result = np.zeros((height, width), bool)
        for (x0, y0), (x1, y1) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            crossed = np.flatnonzero((rows >= min(y0, y1)) & (rows < max(y0, y1)))
            if len(crossed):
                x = x0 + (rows[crossed] - y0) * ((x1 - x0) / (y1 - y0))
                result[crossed] ^= cols >= x[:, None]
        return result


@dataclass(frozen=True, eq=False)
class Pixels:
    """A mask in memory, bool (H, W)."""

    mask: Covered

    def __repr__(self) -> str:
        return f"Pixels({self.mask.shape}, {hashlib.sha256(self.mask.tobytes()).hexdigest()})"

    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.mask.shape[0], self.mask.shape[1]

    def covered(self, height: int, width: int) -> Covered:
        """The mask at that size, each pixel the nearest one of the mask."""
        rows = (np.arange(height) * 2 + 1) * self.mask.shape[0] // (2 * height)
        cols = (np.arange(width) * 2 + 1) * self.mask.shape[1] // (2 * width)
        result: Covered = self.mask[rows][:, cols]
        return result


@dataclass(frozen=True)
class MaskFile:
    """A mask in a file, loaded anew each time: many large ones would fill the memory.

    Args:
        path: of an image or a NIfTI file.
        is_ours: whether it is black outside for sure, as an exported mask is, so that one without a
            black pixel covers the whole image.
    """

    path: Path
    is_ours: bool = False

    def __repr__(self) -> str:
        return f"MaskFile({hashlib.sha256(self.path.read_bytes()).hexdigest()})"

    def load(self) -> Pixels:
        """The mask. Raises: DataError: the file cannot be read as one."""
        if self.path.name.lower().endswith((".nii", ".nii.gz")):
            return Pixels(load_nifti_mask(self.path))
        if self.is_ours:
            image = load_image(self.path)
            return Pixels(image > 0 if image.ndim == 2 else image.max(axis=2) > 0)
        return Pixels(load_mask(self.path))

    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.load().size()

    def covered(self, height: int, width: int) -> Covered:
        """The mask at that size."""
        return self.load().covered(height, width)


@dataclass(frozen=True)
class Marks:
    """What a reader has marked on an image.

    Args:
        relevant: marks of what the model should look at.
        misleading: marks of what leads it astray.
        share: of a square that must be covered, more than 0 and at most 1.
    """

    relevant: tuple[Shape, ...]
    misleading: tuple[Shape, ...] = ()
    share: float = SHARE

    def squares(self, grid: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The relevant and the misleading squares on the grid.

        Raises: DataError: there are marks, and none covers enough of a square.
        """
        relevant, misleading = (
            self._squares(shapes, grid) for shapes in (self.relevant, self.misleading)
        )
        if (self.relevant or self.misleading) and not relevant and not misleading:
            raise DataError(
                f"its marks cover less than {self.share:.0%} of every square of a {grid} grid: "
                "give a smaller share, such as replay:FILE,share=0.1"
            )
        return relevant, misleading

    def _squares(self, shapes: Sequence[Shape], grid: Grid) -> tuple[int, ...]:
        if not shapes:
            return ()
        # a multiple of the grid, so that each square has as many samples, or a mask's own pixels
        down, across = SIDE // grid.rows, SIDE // grid.cols
        sizes = [size for shape in shapes if (size := shape.size())]
        height, width = sizes[0] if sizes else (grid.rows * down, grid.cols * across)
        covered = np.zeros((height, width), bool)
        for shape in shapes:
            covered |= shape.covered(height, width)
        # a line of samples at the edge of a polygon may lie on either side of it
        rounding = 1e-9 if sizes else 1 / min(down, across)
        return tuple((np.flatnonzero(grid.shares(covered) >= self.share - rounding) + 1).tolist())
