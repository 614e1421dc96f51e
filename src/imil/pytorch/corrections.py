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
from imil.errors import SettingsError, SquareError
from imil.grid import MAX_SIDE, Grid

LOG = logging.getLogger(__name__)
_SHORT = 14  # bytes of squares, one bit each, that every sample has room for: those of a 10×11 grid
_LONG = MAX_SIDE * MAX_SIDE // 8  # bytes of the squares of the finest grid
_MOST_LONG = 50_000  # samples that have room for these at a time
_SQUARES, _SHARES = 1, 2  # states of a corrected sample: one bit a square, or 16 bits
_WHOLE = np.iinfo(np.uint16).max  # a share of 1
MOST_SHARES = _LONG // 2  # squares of a grid of which shares can be kept


class Corrections:
    """The correction of each of n samples; at first, none.

    Takes 23 bytes a sample, whatever the images' size, and 512 for each of the first 50,000. So
    grids have up to 64×64 squares; 50,000 samples at most may have more than 112, or shares.
    """

    def __init__(self, n: int) -> None:
        self._states = _shared(n, 1)  # 0 if not corrected
        self._removed = _shared(n, 1)  # 1 if taken out of training
        self._shapes = _shared(n, 3)  # rows, columns and slabs of the grid; 0 slabs: of an image
        self._short = _shared(n, _SHORT)
        self._slots = _shared(n, 4).view(torch.int32)  # rows of the next one, from 1; 0: none
        self._long = _shared(min(n, _MOST_LONG), _LONG)
        self._slots_used = 0

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._states)

    def set(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it.

        Raises: SquareError: its grid has no such square, or there is no room for so many.
            SettingsError: shares of too fine a grid.
        """
        states = self._states.numpy()
        states[i] = 0
        if correction is None:
            return
        grid, state = correction.grid, _SQUARES
        if correction.shares is None:
            packed = _packed(grid, tuple(correction.squares))
        else:
            check_shares(grid)
            state = _SHARES
            shares = np.round(np.array(correction.shares) * _WHOLE).astype("<u2")
            packed = shares.view(np.uint8)
        self._row(i, grid, state, new=True)[: len(packed)] = packed
        self._shapes.numpy()[i] = grid.rows, grid.cols, grid.slabs or 0
        states[i] = state  # last: a worker never sees half a correction

    def get(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        state = int(self._states[i])
        if not state:
            return None
        grid = _grid(*self._shapes[i].tolist())
        row = self._row(i, grid, state)
        if state == _SHARES:
            shares = row[: 2 * grid.squares].copy().view("<u2") / _WHOLE
            kept = np.flatnonzero(shares) + 1
            return Correction(grid, tuple(map(int, kept)), tuple(shares.tolist()))
        squares = np.flatnonzero(np.unpackbits(row)) + 1
        return Correction(grid, tuple(map(int, squares)))

    def _row(self, i: int, grid: Grid, state: int, *, new: bool = False) -> NDArray[np.uint8]:
        """The bytes of the i-th sample's squares or shares on that grid."""
        if state == _SQUARES and grid.squares <= 8 * _SHORT:
            return self._short.numpy()[i]
        if new and not self._slots[i]:
            if self._slots_used == len(self._long):
                raise SquareError(
                    f"more than {_MOST_LONG} samples are corrected by shares, or on grids of more "
                    f"than {8 * _SHORT} squares, and {grid} is the next: give a coarser grid and "
                    "another fusion than soft"
                )
            self._slots_used += 1
            self._slots[i] = self._slots_used
        return self._long.numpy()[int(self._slots[i]) - 1]

    def positions(self) -> list[int]:
        """The samples that are corrected, in order."""
        result: list[int] = self._states[:, 0].nonzero().flatten().tolist()
        return result

    def remove(self, i: int) -> None:
        """Take the i-th sample out of training from now on."""
        self._removed[i] = 1

    def removed(self) -> list[int]:
        """The samples that are taken out of training, in order."""
        result: list[int] = self._removed[:, 0].nonzero().flatten().tolist()
        return result

    def is_removed(self, i: int) -> bool:
        """Whether the i-th sample is taken out of training."""
        return bool(self._removed[i])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that rounds changed, for another process; C samples are corrected."""
        positions = self._states[:, 0].nonzero().flatten()
        return {
            "positions": positions,
            "states": self._states[positions],
            "removed": self._removed[:, 0].nonzero().flatten(),
            "shapes": self._shapes[positions],
            "short": self._short[positions],
            "slots": self._slots[positions, 0],
            "long": self._long[: self._slots_used].clone(),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Have the corrections that another process gave, and no others."""
        positions = state["positions"]
        self._states.zero_()
        self._removed.zero_()
        self._removed[state["removed"]] = 1
        self._slots.zero_()
        self._shapes[positions], self._short[positions] = state["shapes"], state["short"]
        self._slots[positions, 0] = state["slots"]
        self._slots_used = len(state["long"])
        self._long[: self._slots_used] = state["long"]
        self._states[positions] = state["states"]

    def is_corrected(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these samples are corrected, (B,)."""
        corrected: NDArray[np.bool_] = self._states[:, 0].numpy()[rows] > 0
        return corrected

    def keep(
        self, rows: NDArray[np.int64], *size: int
    ) -> NDArray[np.bool_] | NDArray[np.float32] | None:
        """Which pixels of these samples stay, (B, height, width); None where none is corrected.

        Where a correction has shares, how far each pixel stays, float32 in [0, 1].

        Args:
            rows: (B,), positions of the samples.
            size: height and width of the images in pixels, or slices, height and width.
        """
        corrected = np.flatnonzero(self.is_corrected(rows))
        if not len(corrected):
            return None
        found = rows[corrected]
        graded = bool((self._states.numpy()[found] == _SHARES).any())
        result = np.ones((len(rows), *size), np.float32 if graded else bool)
        shapes = self._shapes.numpy()[found]
        for shape in {tuple(shape) for shape in shapes.tolist()}:
            same = (shapes == shape).all(axis=1)
            grid = _grid(*shape)
            kept = self._kept(found[same], grid)
            result[corrected[same]] = grid.spread(kept, *size)
        return result

    def _kept(self, rows: NDArray[np.int64], grid: Grid) -> NDArray[np.bool_] | NDArray[np.float32]:
        """Which squares of these corrected samples stay, or how far, (C, squares)."""
        graded = self._states.numpy()[rows, 0] == _SHARES
        long = self._long.numpy()[np.maximum(self._slots.numpy()[rows, 0], 1) - 1]
        packed = self._short.numpy()[rows] if grid.squares <= 8 * _SHORT else long
        kept = np.unpackbits(packed, axis=1, count=grid.squares).view(bool)
        if not graded.any():
            return kept
        shares = long[:, : 2 * grid.squares].copy().view("<u2") / np.float32(_WHOLE)
        return np.where(graded[:, None], shares, kept)

    def grids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows and columns of the grid of each of these samples, (B, 2); 1, 1 without one.

        Of volumes, slabs too, (B, 3).
        """
        shapes = self._shapes.numpy()[rows].astype(np.int64)
        return np.maximum(shapes if shapes[:, 2].any() else shapes[:, :2], 1)


def _grid(rows: int, cols: int, slabs: int) -> Grid:
    return Grid(rows, cols, slabs or None)


def check_shares(grid: Grid) -> None:
    """Raises: SettingsError: the grid has too many squares to keep a share of each."""
    if grid.squares > MOST_SHARES:
        raise SettingsError(
            f"the grid {grid} has {grid.squares} squares, and shares of readers are kept for at "
            f"most {MOST_SHARES}: give a coarser grid such as 16x16, or another fusion than soft"
        )


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


@lru_cache(maxsize=1024)
def _packed(grid: Grid, squares: tuple[int, ...]) -> NDArray[np.uint8]:
    """One bit for each square, in as many bytes as the table has for a grid of that size.

    Raises: SquareError: the grid has no such square.
    """
    size = _SHORT if grid.squares <= 8 * _SHORT else _LONG
    chosen = np.zeros(8 * size, np.uint8)
    chosen[[square - 1 for square in grid.check(squares)]] = 1
    return np.packbits(chosen)
