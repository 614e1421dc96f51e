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

    Of a cuboid: slices, height and width, (B, 3).

    Args:
        keep: bool (B, H, W), or (B, D, H, W).
        grids: (B, 2), rows and columns, or (B, 3), with slabs; None for 4×4.
    """
    size = torch.tensor([keep.shape[1:]], dtype=torch.float32)
    parts = torch.full((1, 2), 4) if grids is None else grids.cpu()
    return size / (parts.roll(1, dims=1) if parts.shape[1] == 3 else parts)  # slabs first


def shifted(keep: Tensor, sizes: Tensor, jitter: float, rng: torch.Generator) -> Tensor:
    """The mask of each image moved by up to `jitter` of a square along each axis.

    Args:
        keep: bool (B, H, W), or (B, D, H, W).
        sizes: from `square_sizes`.
        jitter: in [0, 1].
        rng: on the CPU.
    """
    axes = keep.ndim - 1
    by = ((2 * torch.rand(len(keep), axes, generator=rng) - 1) * jitter * sizes).round().long()
    index = [torch.arange(len(keep), device=keep.device).view(-1, *(1,) * axes)]
    for axis, length in enumerate(keep.shape[1:]):
        at = (torch.arange(length) - by[:, axis : axis + 1]).clamp(0, length - 1)
        place = [1] * axes
        place[axis] = length
        index.append(moved(at, keep).view(-1, *place))
    return keep[tuple(index)]


def softened(keep: Tensor, sizes: Tensor, soft: float) -> Tensor:
    """The share of each pixel that stays, float (B, H, W) or (B, D, H, W), in [0, 1].

    It rises linearly over `soft` of a square, half of it on either side of an edge; 0 gives the
    mask itself.

    Args:
        keep: bool (B, H, W) or (B, D, H, W), or shares in [0, 1].
        sizes: from `square_sizes`.
        soft: in [0, 1].
    """
    alpha = keep.float()
    average = functional.avg_pool2d if keep.ndim == 3 else functional.avg_pool3d
    reach = (soft * sizes / 2).round().long()  # pixels on either side
    for by in {tuple(map(int, row)) for row in reach}:
        same = moved((reach == torch.tensor(by)).all(dim=1), alpha)
        around = [n for side in reversed(by) for n in (side, side)]  # the last axis first
        padded = functional.pad(alpha[:, None], around, mode="replicate")
        blurred = average(padded, tuple(2 * n + 1 for n in by), stride=1)[:, 0]
        alpha = torch.where(same.view(-1, *(1,) * (alpha.ndim - 1)), blurred, alpha)
    return alpha
