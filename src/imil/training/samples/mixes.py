"""CutMix, MixUp and CutOut: the augmentations that the paper compares with (section 3.3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import v2

from imil.training.samples.augment import to_device

CUTOUT = 50 / 224  # side of the square, as a share of the image's (paper 3.3.3: 50 of 224)
Mixed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mix(name: str, classes: int) -> Mixed:
    """The function that mixes a batch: images (B, C, H, W), labels (B,) -> images, targets.

    Targets are labels (B,) or, where images of two classes are mixed, shares (B, K). Random
    numbers come from torch's global generator, which `imil train` seeds for each epoch.

    Raises: KeyError: unknown name; the settings have checked it.
    """
    return {
        "none": lambda images, labels: (images, labels),
        "mixup": v2.MixUp(num_classes=classes),
        "cutmix": v2.CutMix(num_classes=classes),
        "cutout": cutout,
    }[name]


def cutout(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Each image with one square of its own blacked out; labels as they are.

    The square's centre lies anywhere in the image; what reaches over the border is cut off, so
    that corners are covered as often as the middle.

    Source: DeVries and Taylor 2017, section 3.2.
    """
    count, (height, width) = len(images), images.shape[-2:]
    rows, cols = (to_device(_spans(length, count), images) for length in (height, width))
    return images.masked_fill(rows[:, None, :, None] & cols[:, None, None, :], 0), labels


def _spans(length: int, count: int) -> Tensor:
    """For each of `count` images which of `length` rows or columns its square covers, bool."""
    side = round(CUTOUT * length)
    first = torch.randint(length, (count, 1)) - side // 2
    at = torch.arange(length)
    return (at >= first) & (at < first + side)
