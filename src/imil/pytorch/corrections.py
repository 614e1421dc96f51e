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
from imil.errors import SquareError
from imil.grid import MAX_SIDE, Grid

LOG = logging.getLogger(__name__)
_SHORT = 14  # bytes of squares, one bit each, that every sample has room for: those of a 10×11 grid
_LONG = MAX_SIDE * MAX_SIDE // 8  # bytes of the squares of the finest grid
_MOST_LONG = 50_000  # samples that have room for these at a time


class Corrections:
    """The correction of each of n samples; at first, none.

    Takes 21 bytes a sample, whatever the images' size, and 512 for each of the first 50,000. So
    grids have up to 64×64 squares, of which 50,000 samples at most may have more than 112.
    """

    def __init__(self, n: int) -> None:
        self._flags = _shared(n, 1)  # 1 if corrected
        self._shapes = _shared(n, 2)  # rows and columns of the grid
        self._short = _shared(n, _SHORT)
        self._slots = _shared(n, 4).view(torch.int32)  # rows of the next one, from 1; 0: none
        self._long = _shared(min(n, _MOST_LONG), _LONG)
        self._slots_used = 0

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._flags)

    def set(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it.

        Raises: SquareError: its grid has no such square, or is too fine for so many samples.
        """
        self._flags[i] = 0
        if correction is None:
            return
        grid = correction.grid
        squares = grid.check(correction.squares)
        chosen = np.zeros(MAX_SIDE * MAX_SIDE, np.uint8)
        chosen[[square - 1 for square in squares]] = 1
        row = self._row(i, grid, new=True)
        row[:] = np.packbits(chosen)[: len(row)]
        self._shapes.numpy()[i] = grid.rows, grid.cols
        self._flags[i] = 1  # last: a worker never sees half a correction

    def get(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        if not self._flags[i]:
            return None
        grid = Grid(*self._shapes[i].tolist())
        squares = np.flatnonzero(np.unpackbits(self._row(i, grid))) + 1
        return Correction(grid, tuple(map(int, squares)))

    def _row(self, i: int, grid: Grid, *, new: bool = False) -> NDArray[np.uint8]:
        """The bytes of the i-th sample's squares on that grid."""
        if grid.squares <= 8 * _SHORT:
            return self._short.numpy()[i]
        if new and not self._slots[i]:
            if self._slots_used == len(self._long):
                raise SquareError(
                    f"more than {_MOST_LONG} samples are corrected on grids of more than "
                    f"{8 * _SHORT} squares, as {grid} is: give a coarser grid"
                )
            self._slots_used += 1
            self._slots[i] = self._slots_used
        return self._long.numpy()[int(self._slots[i]) - 1]

    def positions(self) -> list[int]:
        """The samples that are corrected, in order."""
        result: list[int] = self._flags[:, 0].nonzero().flatten().tolist()
        return result

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The corrections of C samples: their positions, grids and squares, for another process."""
        positions = self._flags[:, 0].nonzero().flatten()
        return {
            "positions": positions,
            "shapes": self._shapes[positions],
            "short": self._short[positions],
            "slots": self._slots[positions, 0],
            "long": self._long[: self._slots_used].clone(),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Have the corrections that another process gave, and no others."""
        positions = state["positions"]
        self._flags.zero_()
        self._slots.zero_()
        self._shapes[positions], self._short[positions] = state["shapes"], state["short"]
        self._slots[positions, 0] = state["slots"]
        self._slots_used = len(state["long"])
        self._long[: self._slots_used] = state["long"]
        self._flags[positions] = 1

    def is_corrected(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these samples are corrected, (B,)."""
        corrected: NDArray[np.bool_] = self._flags[:, 0].numpy()[rows] > 0
        return corrected

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
        return np.maximum(self._shapes.numpy()[rows].astype(np.int64), 1)


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
