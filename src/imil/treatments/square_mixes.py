"""CutMix and MixUp that leave the selected squares whole.

The paper's discussion asks for both. Labels become shares of the classes, for every image of the
batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from imil.errors import SettingsError
from imil.treatments.batch import Batch, as_pixels, moved
from imil.treatments.option_checks import check_range, check_whole
from imil.treatments.treatment import Draw, Treatment


@dataclass(frozen=True)
class SquareCutMix(Treatment):
    """The selected squares of a corrected image, pasted onto another training image.

    The label is the corrected image's by the selected share of the area, and the other image's by
    the rest.

    Args:
        share: share of draws in which a corrected image is mixed, 0 to 1.
        weight: how many times as often as another sample a corrected one is drawn, 1 to 100.
    Raises: SettingsError: an option is out of range.
    Source: Yun et al. 2019 (CutMix), eq. 1, with the reader's squares as the mask.
    """

    label_shares: ClassVar[bool] = True
    allows_mix: ClassVar[bool] = False

    share: float = 1.0
    weight: int = 1

    def __post_init__(self) -> None:
        check_range("share", self.share, 0, 1)
        check_whole("weight", self.weight, 1, 100)

    @property
    def takes_shares(self) -> bool:
        """Whether shares of readers are taken: as shares of each pixel, and so of the label."""
        return True

    def batch(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch with its corrected images mixed and labels as shares, (B, K)."""
        own = torch.zeros(len(batch.images))
        return _mixed(batch, own, self.share, draw, rng)


@dataclass(frozen=True)
class SquareMixUp(Treatment):
    """A corrected image mixed with another one outside the selected squares.

    The label is the corrected image's by the area that is still its own: the selected squares, and
    its part in the mixture of the rest.

    Args:
        alpha: of the Beta distribution that the part is drawn from, 0.01 to 100; 1 is uniform.
        share: share of draws in which a corrected image is mixed, 0 to 1.
        weight: how many times as often as another sample a corrected one is drawn, 1 to 100.
    Raises: SettingsError: an option is out of range.
    Source: Zhang et al. 2018 (MixUp), eq. 1, outside the reader's squares.
    """

    label_shares: ClassVar[bool] = True
    allows_mix: ClassVar[bool] = False

    alpha: float = 1.0
    share: float = 1.0
    weight: int = 1

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0.01, 100)
        check_range("share", self.share, 0, 1)
        check_whole("weight", self.weight, 1, 100)

    @property
    def takes_shares(self) -> bool:
        """Whether shares of readers are taken: as shares of each pixel, and so of the label."""
        return True

    def batch(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch with its corrected images mixed and labels as shares, (B, K)."""
        if batch.keep is None:
            return batch
        seed = int(torch.randint(2**31, (1,), generator=rng))  # PyTorch draws no Beta with one
        own = np.random.default_rng(seed).beta(self.alpha, self.alpha, len(batch.images))
        return _mixed(batch, torch.from_numpy(own).float(), self.share, draw, rng)


def _mixed(batch: Batch, own: Tensor, share: float, draw: Draw, rng: torch.Generator) -> Batch:
    """Corrected images with other images in place of what nobody selected.

    Args:
        own: the part of the corrected image there, (B,), in [0, 1], on the CPU.
        share: of draws in which an image is mixed.
    """
    if batch.keep is None:
        return batch
    if batch.classes is None:
        raise SettingsError(
            "the number of classes is not known: give the batch `classes` to mix its labels"
        )
    others = draw(len(batch.images))
    drawn = moved(torch.rand(len(own), generator=rng) < share, batch.images)
    part = torch.where(drawn, moved(own, batch.images), 1.0)
    keep = batch.keep.float()
    ours = keep + (1 - keep) * part[:, None, None]  # share of each pixel, (B, H, W)
    by_pixel = ours[:, None]
    mixture = by_pixel * batch.images.float() + (1 - by_pixel) * others.images.float()
    images = torch.where(by_pixel >= 1, batch.images, as_pixels(mixture, batch.images))
    area = ours.mean(dim=(1, 2))[:, None]
    labels = area * _shares(batch.labels, batch.classes)
    labels = labels + (1 - area) * _shares(others.labels, batch.classes)
    return replace(batch, images=images, labels=labels)


def _shares(labels: Tensor, classes: int) -> Tensor:
    return one_hot(labels, classes).float()
