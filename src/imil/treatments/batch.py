"""Training images on their way to the model, with the pixels that readers selected."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some training images, all on one device.

    Args:
        images: (B, C, H, W), raw pixels: 0 is black.
        labels: (B,), in [0, K), or shares of the classes (B, K) once images are mixed.
        rows: (B,), the images' positions in the training set.
        keep: bool (B, H, W), False in the squares of a corrected image that nobody selected and
            True everywhere else; None where no image of the batch is corrected.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    keep: Tensor | None = None


def other_rows(rows: Tensor, n: int, total: int, rng: torch.Generator) -> Tensor:
    """Positions of n training images that are not among `rows`, (n,), on the CPU.

    Each is drawn by itself, so one may come twice. Where there are no others, any may come.

    Args:
        rows: (B,), on the CPU.
        n: how many.
        total: of the training set.
        rng: on the CPU.
    """
    others = torch.ones(total, dtype=torch.bool)
    others[rows] = False
    candidates = others.nonzero().flatten()
    if not len(candidates):
        candidates = torch.arange(total)
    return candidates[torch.randint(len(candidates), (n,), generator=rng)]
