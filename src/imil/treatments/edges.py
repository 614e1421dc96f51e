"""How much of each pixel stays: the squares' mask with moved and soft edges.

Both options are shares of a square, so that they mean the same at every resolution and grid. What
lies at the border of the image is extended beyond it: an image whose squares are all selected stays
as it is, whatever the edges.

Source: Jain et al. 2022 ("Missingness Bias in Model Debugging"): a model can read the class off the
shape of a mask; edges that vary and fade carry less of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from imil.treatments.batch import moved


def square_sizes(keep: Tensor, grids: Tensor | None) -> Tensor:
    """Height and width of a square in pixels, float (B, 2), on the CPU.

    Args:
        keep: bool (B, H, W).
        grids: (B, 2), rows and columns; None for 4×4.
    """
    size = torch.tensor([keep.shape[1:]], dtype=torch.float32)
    return size / (torch.full((1, 2), 4) if grids is None else grids.cpu())


def shifted(keep: Tensor, sizes: Tensor, jitter: float, rng: torch.Generator) -> Tensor:
    """The mask of each image moved by up to `jitter` of a square, up or down and sideways.

    Args:
        keep: bool (B, H, W).
        sizes: from `square_sizes`.
        jitter: in [0, 1].
        rng: on the CPU.
    """
    by = ((2 * torch.rand(len(keep), 2, generator=rng) - 1) * jitter * sizes).round().long()
    height, width = keep.shape[1:]
    rows = (torch.arange(height) - by[:, :1]).clamp(0, height - 1)
    cols = (torch.arange(width) - by[:, 1:]).clamp(0, width - 1)
    each = torch.arange(len(keep), device=keep.device)[:, None, None]
    return keep[each, moved(rows, keep)[:, :, None], moved(cols, keep)[:, None, :]]


def softened(keep: Tensor, sizes: Tensor, soft: float) -> Tensor:
    """The share of each pixel that stays, float (B, H, W), in [0, 1].

    It rises linearly over `soft` of a square, half of it on either side of an edge; 0 gives the
    mask itself.

    Args:
        keep: bool (B, H, W), or shares in [0, 1].
        sizes: from `square_sizes`.
        soft: in [0, 1].
    """
    alpha = keep.float()
    reach = (soft * sizes / 2).round().long()  # pixels on either side
    for rows, cols in {(int(row), int(col)) for row, col in reach}:
        same = moved((reach == torch.tensor([rows, cols])).all(dim=1), alpha)
        padded = functional.pad(alpha[:, None], (cols, cols, rows, rows), mode="replicate")
        blurred = functional.avg_pool2d(padded, (2 * rows + 1, 2 * cols + 1), stride=1)[:, 0]
        alpha = torch.where(same[:, None, None], blurred, alpha)
    return alpha
