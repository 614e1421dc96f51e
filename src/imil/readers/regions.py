"""Connected regions of a mask, in numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, int, int]  # row, first column, column after the last


def largest_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask of its largest connected region; of two equally large ones the upper.

    Pixels that touch at a corner are connected.

    Args:
        mask: (H, W), at least one pixel True.

    >>> largest_region(np.array([[1, 0, 1], [1, 0, 0]], bool)).astype(int).tolist()
    [[1, 0, 0], [1, 0, 0]]
    """
    runs = _runs(mask)
    regions = _joined(runs)
    sizes: dict[int, int] = {}
    for (_, first, after), region in zip(runs, regions, strict=True):
        sizes[region] = sizes.get(region, 0) + after - first
    largest = max(sizes, key=lambda region: (sizes[region], -region))
    kept = np.zeros_like(mask)
    for (row, first, after), region in zip(runs, regions, strict=True):
        if region == largest:
            kept[row, first:after] = True
    return kept


def _runs(mask: NDArray[np.bool_]) -> list[Run]:
    """The unbroken rows of pixels, in reading order: a mask has few of them."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, firsts = np.nonzero(steps == 1)
    _, afters = np.nonzero(steps == -1)
    return list(zip(rows.tolist(), firsts.tolist(), afters.tolist(), strict=True))


def _joined(runs: list[Run]) -> list[int]:
    """For each run the position of the first run of its region."""
    parents = list(range(len(runs)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    above = 0  # the first run of the row before that can still touch
    for i, (row, first, after) in enumerate(runs):
        while runs[above][0] < row - 1 or (runs[above][0] == row - 1 and runs[above][2] < first):
            above += 1
        touching = above
        while runs[touching][0] == row - 1 and runs[touching][1] <= after:
            low, high = sorted((root(i), root(touching)))
            parents[high] = low
            touching += 1
    return [root(i) for i in range(len(runs))]
