"""What rounds have changed in the training set: a small table in shared memory.

The table holds squares, not pixels; a treatment is applied when a sample is drawn. All workers
of a `DataLoader`, persistent ones too, read the same memory, so a correction takes effect with
the next sample that anyone draws.
"""

from __future__ import annotations

import logging
import mmap
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import Correction
from imil.grid import MAX_SIDE, Grid

LOG = logging.getLogger(__name__)
_HEAD = 3  # 1 if corrected, rows, columns; then one bit a square


class Corrections:
    """The correction of each of n samples; at first, none.

    Takes 515 bytes a sample, whatever the images' size: room for a 64×64 grid.
    """

    def __init__(self, n: int) -> None:
        self._table = _shared(n, _HEAD + MAX_SIDE * MAX_SIDE // 8)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._table)

    def set(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it.

        Raises: SquareError: its grid has no such square.
        """
        row = self._table[i].numpy()
        row[0] = 0
        if correction is None:
            return
        squares = correction.grid.check(correction.squares)
        chosen = np.zeros(MAX_SIDE * MAX_SIDE, np.uint8)
        chosen[[square - 1 for square in squares]] = 1
        row[1:_HEAD] = correction.grid.rows, correction.grid.cols
        row[_HEAD:] = np.packbits(chosen)
        row[0] = 1  # last: a worker never sees half a correction

    def get(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        row = self._table[i].numpy()
        if row[0] == 0:
            return None
        grid = Grid(int(row[1]), int(row[2]))
        squares = np.flatnonzero(np.unpackbits(row[_HEAD:])) + 1
        return Correction(grid, tuple(map(int, squares)))

    def positions(self) -> list[int]:
        """The samples that are corrected, in order."""
        result: list[int] = self._table[:, 0].nonzero().flatten().tolist()
        return result

    def table(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Positions of the corrected samples (C,), ascending, and their rows of the table (C, W).

        Columns that are 0 in all of them are left out at the end.
        """
        positions = np.array(self.positions(), np.int64)
        rows = self._table.numpy()[positions]
        used = np.flatnonzero(rows.any(axis=0))
        return positions, np.ascontiguousarray(rows[:, : used[-1] + 1 if len(used) else 0])

    def replace(self, positions: NDArray[np.int64], rows: NDArray[np.uint8]) -> None:
        """Have the corrections that `table` of another process gave, and no others."""
        self._table.zero_()
        self._table.numpy()[positions, : rows.shape[1]] = rows

    def is_corrected(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these samples are corrected, (B,)."""
        return self._table[:, 0].numpy()[rows] > 0

    def keep(self, rows: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_] | None:
        """Which pixels of these samples stay, (B, height, width); None where none is corrected.

        Args:
            rows: (B,), positions of the samples.
            height, width: of the images, in pixels.
        """
        corrected = np.flatnonzero(self.is_corrected(rows))
        if not len(corrected):
            return None
        result = np.ones((len(rows), height, width), bool)
        for b in corrected.tolist():
            if (correction := self.get(int(rows[b]))) is not None:
                result[b] = _mask(correction.grid, correction.squares, height, width)
        return result

    def grids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows and columns of the grid of each of these samples, (B, 2); 1, 1 without one."""
        return np.maximum(self._table[:, 1:_HEAD].numpy()[rows].astype(np.int64), 1)


def _shared(rows: int, cols: int) -> torch.Tensor:
    """Zeros, uint8 (rows, cols), that all workers of a `DataLoader` share.

    In a container, /dev/shm may be read-only or small. Forked workers share the table there too;
    others get a copy by way of /dev/shm, which fails with PyTorch's message.
    """
    table = torch.zeros(rows, cols, dtype=torch.uint8)
    try:
        return table.share_memory_()
    except (OSError, RuntimeError) as error:
        LOG.info(
            "Shared memory cannot be used (%s): only forked workers of a DataLoader see "
            "corrections; for others give the container more (docker run --shm-size=1g).",
            error,
        )
        if not rows:
            return table
        pages = mmap.mmap(-1, rows * cols)  # shared with forked processes, in no folder
        return torch.frombuffer(pages, dtype=torch.uint8).view(rows, cols)


@lru_cache(maxsize=256)
def _mask(grid: Grid, squares: tuple[int, ...], height: int, width: int) -> NDArray[np.bool_]:
    return grid.mask(squares, height, width)
