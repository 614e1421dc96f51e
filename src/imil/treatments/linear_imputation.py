"""Noisy linear imputation: a smooth surface through the pixels around what is covered.

Each covered pixel is the weighted mean of its eight neighbours, which gives a sparse linear system
whose solution has no edge at the squares. A little noise hides the surface's smoothness, by which a
model could tell where something was covered.

Source: Rong et al. 2022 ("A Consistent and Efficient Evaluation Strategy for Attribution Methods",
ROAD), section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# weights of the neighbours beside and diagonally (ROAD, section 4.2)
NEIGHBOURS = {
    (row, col): 1 / 12 if row and col else 1 / 6
    for row in (-1, 0, 1)
    for col in (-1, 0, 1)
    if row or col
}
LARGEST = 128  # pixels of a side; larger images are solved at this size and enlarged
CACHED = 32  # masks; a factorisation takes 13 MB at that size
Solve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def linear_surface(images: Tensor, keep: Tensor) -> Tensor:
    """The images with covered pixels imputed, float32 (B, C, H, W), without noise.

    Computed on the CPU. The factorisation of a mask is reused when it comes again, as it does in
    every epoch.

    Args:
        images: (B, C, H, W).
        keep: bool (B, H, W); an image without any such pixel becomes 0.
    """
    values, masks = images.detach().float().cpu(), keep.cpu()
    size = (min(masks.shape[1], LARGEST), min(masks.shape[2], LARGEST))
    if size != masks.shape[1:]:
        return _enlarged(values, masks, size).to(images.device)
    result = [_imputed(image, mask) for image, mask in zip(values, masks, strict=True)]
    return torch.stack(result).to(images.device)


def _enlarged(values: Tensor, masks: Tensor, size: tuple[int, int]) -> Tensor:
    """The surface of smaller images, whose pixels are means of what is kept in them."""
    kept = functional.adaptive_avg_pool2d(masks[:, None].float(), size)
    small = functional.adaptive_avg_pool2d(values * masks[:, None], size) / kept.clamp(min=1e-6)
    surface = linear_surface(small, kept[:, 0] > 0)
    return functional.interpolate(
        surface, size=tuple(masks.shape[1:]), mode="bilinear", align_corners=False
    )


def _imputed(image: Tensor, keep: Tensor) -> Tensor:
    if keep.all():
        return image
    if not keep.any():
        return torch.zeros_like(image)
    mask = keep.numpy()
    solve = _solver(mask.tobytes(), *mask.shape)
    result = image.clone()
    surface = solve(image.flatten(1).numpy().T.astype(np.float64))
    result[:, ~keep] = torch.from_numpy(surface.T.astype(np.float32))
    return result


@lru_cache(maxsize=CACHED)
def _solver(mask: bytes, height: int, width: int) -> Solve:
    """The function from an image's pixels (H·W, C) to those that the mask covers."""
    from scipy.sparse.linalg import splu  # here: it takes long to import

    keep = np.frombuffer(mask, bool)
    weights = _weights(height, width)[~keep]
    covered = weights[:, ~keep]
    diagonal = np.asarray(weights.sum(axis=1)).ravel()  # less at the border of the image
    system: Any = -covered
    system.setdiag(diagonal)
    factors, known = splu(system.tocsc()), weights[:, keep].tocsr()

    def solve(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = factors.solve(known @ pixels[keep])
        return result

    return solve


@lru_cache(maxsize=4)
def _weights(height: int, width: int) -> Any:
    """The weight of each pixel (column) in the mean of another (row), sparse (H·W, H·W)."""
    from scipy.sparse import coo_array

    index = np.arange(height * width).reshape(height, width)
    rows, cols, values = [], [], []
    for (down, right), weight in NEIGHBOURS.items():
        at = index[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        rows.append(at.ravel())
        cols.append(at.ravel() + down * width + right)
        values.append(np.full(at.size, weight))
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))
    return coo_array(entries, shape=(index.size, index.size)).tocsr()
