"""Squares that nobody selected are covered; the paper's treatment covers them in black."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments.batch import Batch, as_pixels, moved
from imil.treatments.edges import shifted, softened, square_sizes
from imil.treatments.option_checks import check_choice, check_range, check_whole
from imil.treatments.replacements import DONORS, REPLACEMENTS, Source, check_donor
from imil.treatments.scattered import scattered
from imil.treatments.treatment import Draw, Treatment


@dataclass(frozen=True)
class Cover(Treatment):
    """Corrected images are trained on with a fill outside the selected squares.

    Args:
        fill: what covers them: black, mean, blur, noise, linear (noisy linear imputation) or other
            (the same squares of another training image); see `imil.treatments.replacements`.
        donor: the class of the other image for `other`: any, same or other.
        soft: width over which an edge fades, as a share of a square, 0 to 1.
        jitter: how far the edges move at random in each draw, as a share of a square, 0 to 1.
        keep_original: share of draws in which a corrected image stays as it was, 0 to 1.
        weight: how many times as often as another sample a corrected one is drawn, 1 to 100.
        squares: which stay: those of the `readers`, or `random`: as many, drawn anew in each draw,
            as a control.
    Raises: SettingsError: an option is out of range, or has no effect.
    Source: IMIL, section 3.1, step 7 (the defaults); Teso and Kersting 2019 (CAIPI): counter-
        examples beside the original; Jain et al. 2022 for soft and moved edges.
    """

    fill: str = "black"
    donor: str = "any"
    soft: float = 0.0
    jitter: float = 0.0
    keep_original: float = 0.0
    weight: int = 1
    squares: str = "readers"

    def __post_init__(self) -> None:
        check_choice("fill", self.fill, tuple(REPLACEMENTS))
        check_choice("donor", self.donor, DONORS)
        for name in ("soft", "jitter", "keep_original"):
            check_range(name, getattr(self, name), 0, 1)
        check_whole("weight", self.weight, 1, 100)
        check_choice("squares", self.squares, ("readers", "random"))
        if self.donor != "any" and self.fill != "other":
            raise SettingsError(
                f"donor={self.donor} chooses the image that squares come from, and "
                f"fill={self.fill} takes none: give fill=other, or leave donor out"
            )

    @property
    def takes_shares(self) -> bool:
        """Whether shares of readers are taken: as how far the image and its cover are blended."""
        return self.squares == "readers"

    @property
    def takes_volumes(self) -> bool:
        """Whether volumes are covered, cuboid by cuboid: with every fill but `linear`."""
        return self.fill != "linear"

    def check(self, model: Any, samples: Any, grid: Grid) -> None:
        """Raises: SettingsError: an image of another class is wanted, and there is one class."""
        check_donor(self.donor, samples.labels)

    def batch(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch with its corrected images covered; `keep` is the squares that stay."""
        keep = batch.keep
        if keep is None:
            return batch
        if self.squares == "random":
            keep = scattered(keep, batch.grids, rng)
            batch = replace(batch, keep=keep)
        if self == replace(
            self, fill="black", donor="any", soft=0.0, jitter=0.0, keep_original=0.0
        ):
            # nothing is drawn, and a GPU need not tell which images are corrected
            if keep.dtype is torch.bool:
                return replace(batch, images=batch.images.masked_fill(~keep[:, None], 0))
            black = torch.zeros_like(batch.images)
            return replace(batch, images=blended(batch.images, black, keep))
        rows = batch.corrected().nonzero().flatten()
        if not len(rows):
            return batch
        images = batch.images.clone()
        images[rows] = self._covered(_part(batch, rows), keep[rows], draw, rng)
        return replace(batch, images=images)

    def _covered(self, part: Batch, keep: Tensor, draw: Draw, rng: torch.Generator) -> Tensor:
        """Images of which each has squares that nobody selected, covered."""
        sizes = square_sizes(keep, part.grids)
        if self.jitter:
            keep = shifted(keep, sizes, self.jitter, rng)
        # what the replacement is computed from is what stays in part, too
        alpha = softened(keep, sizes, self.soft)
        content = REPLACEMENTS[self.fill](Source(part, keep, draw, rng, self.donor))
        covered = blended(part.images, content, alpha)
        if not self.keep_original:
            return covered
        stays = moved(torch.rand(len(keep), generator=rng) < self.keep_original, covered)
        return torch.where(stays.view(-1, *(1,) * (covered.ndim - 1)), part.images, covered)


def blended(images: Tensor, content: Tensor, alpha: Tensor) -> Tensor:
    """`alpha` (B, H, W) of the images and the rest of the content, in the images' dtype.

    Of volumes, alpha is (B, D, H, W). Where it is 0 or 1, pixels are those of the one or the other,
    bit for bit.
    """
    share = alpha[:, None]
    mixed = as_pixels(share * images.float() + (1 - share) * content.float(), images)
    return torch.where(share >= 1, images, torch.where(share <= 0, content, mixed))


def _part(batch: Batch, rows: Tensor) -> Batch:
    """The images of the batch at these indices."""
    keep = None if batch.keep is None else batch.keep[rows]
    grids = None if batch.grids is None else batch.grids[rows]
    images, labels = batch.images[rows], batch.labels[rows]
    return replace(
        batch, images=images, labels=labels, rows=batch.rows[rows], keep=keep, grids=grids
    )
