"""Squares drawn anew at random, as many in each image as its mask has: no reader chose them."""

from __future__ import annotations

import torch
from torch import Tensor

from imil.grid import Grid
from imil.treatments.batch import moved

PAPER = (4, 4)  # the grid where none is given


def scattered(keep: Tensor, grids: Tensor | None, rng: torch.Generator) -> Tensor:
    """A mask of as many squares of each image, drawn at random, bool (B, H, W) or (B, D, H, W).

    A mask of all pixels stays.

    Args:
        keep: bool (B, H, W) or (B, D, H, W), whole squares of the images' grids.
        grids: int (B, 2), rows and columns, or (B, 3), with slabs; None for 4×4.
        rng: on the CPU.
    """
    result = keep.cpu().clone()
    for i, mask in enumerate(result):
        if mask.all():
            continue
        grid = Grid(*(PAPER if grids is None else grids[i].tolist()))
        kept = round(float(grid.shares(mask.numpy()).sum()))
        squares = (torch.randperm(grid.squares, generator=rng)[:kept] + 1).tolist()
        result[i] = torch.from_numpy(grid.mask(squares, *mask.shape))
    return moved(result, keep)
