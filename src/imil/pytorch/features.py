"""Features of images: a layer's activations, pooled over the image or each square of a grid."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch.eval_context import eval_context, full_precision, without_compilation
from imil.pytorch.gradcam import features_of
from imil.pytorch.layers import unwrapped


def pooled_features(
    module: nn.Module, inputs: torch.Tensor, layer: str, grid: Grid | None = None
) -> NDArray[np.float32]:
    """Mean activations of the layer, (B, D), or of each square of the grid, (B, S, D).

    In evaluation mode and full precision, as heat-maps are made.

    Args:
        module: is called with the images.
        inputs: (B, C, H, W), as the module takes them, on its device.
        layer: a name as in `named_modules()` whose output is a map of the image.
        grid: squares are in its order, the first being number 1; None: the whole image.
    Raises: SettingsError: the layer is unknown, does not run, or gives no map of the image.
    """
    module = unwrapped(module)
    with (
        eval_context(module),
        torch.no_grad(),
        full_precision(inputs.device),
        without_compilation(),
        features_of(module, layer) as features,
    ):
        module(inputs)
    if not features:
        raise SettingsError(
            f"layer '{layer}' does not run when {type(module).__name__} is given an image: "
            "name one that does"
        )
    maps = features[0].maps.float()
    result = maps.mean(dim=tuple(range(2, maps.ndim))) if grid is None else squares_of(maps, grid)
    array: NDArray[np.float32] = result.cpu().numpy()
    return array


def squares_of(maps: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The mean of a map in each square of a grid, (B, S, D).

    A map cell that lies in several squares counts in each by the area that it shares with it. A
    map of fewer rows or columns than the grid is interpolated bilinearly.

    Args:
        maps: (B, D, rows, cols).

    >>> maps = torch.arange(9.0).view(1, 1, 3, 3)
    >>> squares_of(maps, Grid(1, 3)).flatten().tolist()
    [3.0, 4.0, 5.0]
    """
    rows, cols = maps.shape[2:]
    if rows < grid.rows or cols < grid.cols:
        size = (max(rows, grid.rows), max(cols, grid.cols))
        maps = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    down = _shares(maps.shape[2], grid.rows).to(maps)
    across = _shares(maps.shape[3], grid.cols).to(maps)
    return torch.einsum("bdhw,rh,cw->brcd", maps, down, across).flatten(1, 2)


def _shares(cells: int, parts: int) -> torch.Tensor:
    """The share of each cell in the mean of each of some equal parts of a line, (parts, cells)."""
    edges = torch.arange(parts + 1, dtype=torch.float64) * cells / parts
    cell = torch.arange(cells, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cell + 1) - torch.maximum(edges[:-1, None], cell)
    return overlap.clamp(min=0) * parts / cells
