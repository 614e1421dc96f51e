"""Training images on their way to the model, with the pixels that readers selected."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some training images, all on one device.

    Args:
        images: (B, C, H, W), raw pixels: 0 is black. Of volumes, (B, C, D, H, W).
        labels: (B,), in [0, K), or shares of the classes (B, K) once images are mixed.
        rows: (B,), the images' positions in the training set.
        keep: bool (B, H, W), or (B, D, H, W), False in the squares of a corrected image that nobody
            selected and True everywhere else; None where no image of the batch is corrected. With
            the fusion `soft`, float in [0, 1]: the share of readers who keep the square.
        grids: int (B, 2), rows and columns of the grid that each corrected image's squares lie in,
            of volumes (B, 3), with slabs; None stands for the paper's 4×4.
        classes: K; None where it is not known.
        progress: share of the training's epochs that are completed, in [0, 1); 0 where it is not
            known.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    keep: Tensor | None = None
    grids: Tensor | None = None
    classes: int | None = None
    progress: float = 0.0

    def corrected(self) -> Tensor:
        """Which images have squares that are not kept wholly, bool (B,)."""
        if self.keep is None:
            return torch.zeros(len(self.images), dtype=torch.bool, device=self.images.device)
        return (self.keep < 1).flatten(1).any(dim=1)


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


def moved(drawn: Tensor, like: Tensor) -> Tensor:
    """What was drawn on the CPU, on the device of the other; does not wait for a GPU."""
    if like.device.type == "cuda":
        return drawn.pin_memory().to(like.device, non_blocking=True)
    return drawn.to(like.device)


def as_pixels(values: Tensor, like: Tensor) -> Tensor:
    """Values in the dtype of the other, rounded where it holds whole numbers."""
    if like.is_floating_point():
        return values.to(like.dtype)
    return values.round().to(like.dtype)
