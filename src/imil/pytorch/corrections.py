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
from imil.errors import SettingsError
from imil.grid import MAX_SIDE, Grid

LOG = logging.getLogger(__name__)
_HEAD = 4  # state, rows, columns, 1 if taken out of training; then squares or shares
_SQUARES, _SHARES = 1, 2  # states of a corrected sample: one bit a square, or 16 bits
_WHOLE = np.iinfo(np.uint16).max  # a share of 1
MOST_SHARES = MAX_SIDE * MAX_SIDE // 16  # squares of a grid of which shares fit into a row


class Corrections:
    """The correction of each of n samples; at first, none.

    Takes 516 bytes a sample, whatever the images' size: room for a 64×64 grid, or for the shares
    of a 16×16 grid.
    """

    def __init__(self, n: int) -> None:
        self._table = _shared(n, _HEAD + MAX_SIDE * MAX_SIDE // 8)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._table)

    def set(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it.

        Raises: SquareError: its grid has no such square. SettingsError: shares of too fine a grid.
        """
        row = self._table[i].numpy()
        row[0] = 0
        if correction is None:
            return
        grid = correction.grid
        row[1:3] = grid.rows, grid.cols
        if correction.shares is None:
            chosen = np.zeros(MAX_SIDE * MAX_SIDE, np.uint8)
            chosen[[square - 1 for square in grid.check(correction.squares)]] = 1
            row[_HEAD:] = np.packbits(chosen)
        else:
            check_shares(grid)
            shares = np.round(np.array(correction.shares) * _WHOLE).astype("<u2")
            row[_HEAD : _HEAD + 2 * grid.squares] = shares.view(np.uint8)
        # last: a worker never sees half a correction
        row[0] = _SQUARES if correction.shares is None else _SHARES

    def get(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        row = self._table[i].numpy()
        if row[0] == 0:
            return None
        grid = Grid(int(row[1]), int(row[2]))
        if row[0] == _SHARES:
            stored = row[_HEAD : _HEAD + 2 * grid.squares].copy().view("<u2") / _WHOLE
            kept = np.flatnonzero(stored) + 1
            return Correction(grid, tuple(map(int, kept)), tuple(stored.tolist()))
        squares = np.flatnonzero(np.unpackbits(row[_HEAD:])) + 1
        return Correction(grid, tuple(map(int, squares)))

    def remove(self, i: int) -> None:
        """Take the i-th sample out of training from now on."""
        self._table[i, 3] = 1

    def removed(self) -> list[int]:
        """The samples that are taken out of training, in order."""
        result: list[int] = self._table[:, 3].nonzero().flatten().tolist()
        return result

    def is_removed(self, i: int) -> bool:
        """Whether the i-th sample is taken out of training."""
        return bool(self._table[i, 3])

    def positions(self) -> list[int]:
        """The samples that are corrected, in order."""
        result: list[int] = self._table[:, 0].nonzero().flatten().tolist()
        return result

    def is_corrected(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these samples are corrected, (B,)."""
        return self._table[:, 0].numpy()[rows] > 0

    def keep(
        self, rows: NDArray[np.int64], height: int, width: int
    ) -> NDArray[np.bool_] | NDArray[np.float32] | None:
        """Which pixels of these samples stay, (B, height, width); None where none is corrected.

        Where a correction has shares, how far each pixel stays, float32 in [0, 1].

        Args:
            rows: (B,), positions of the samples.
            height, width: of the images, in pixels.
        """
        corrected = np.flatnonzero(self.is_corrected(rows))
        if not len(corrected):
            return None
        found = {b: self.get(int(rows[b])) for b in corrected.tolist()}
        graded = any(one is not None and one.shares is not None for one in found.values())
        result = np.ones((len(rows), height, width), np.float32 if graded else bool)
        for b, correction in found.items():
            if correction is not None:
                result[b] = _stays(correction, height, width)
        return result

    def grids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows and columns of the grid of each of these samples, (B, 2); 1, 1 without one."""
        return np.maximum(self._table[:, 1:3].numpy()[rows].astype(np.int64), 1)


def check_shares(grid: Grid) -> None:
    """Raises: SettingsError: the grid has too many squares to keep a share of each."""
    if grid.squares > MOST_SHARES:
        raise SettingsError(
            f"the grid {grid} has {grid.squares} squares, and shares of readers are kept for at "
            f"most {MOST_SHARES}: give a coarser grid such as 16x16, or another fusion than soft"
        )


def _stays(
    correction: Correction, height: int, width: int
) -> NDArray[np.bool_] | NDArray[np.float32]:
    """Which pixels stay, or how far each does, (height, width)."""
    grid = correction.grid
    if correction.shares is None:
        return _mask(grid, correction.squares, height, width)
    return np.array(correction.shares, np.float32)[grid.labels(height, width) - 1]


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
