"""CutMix, MixUp and CutOut: the augmentations that the paper compares with (section 3.3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import v2

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

    Source: DeVries and Taylor 2017; the square lies inside the image.
    """
    height, width = images.shape[-2:]
    area = round(CUTOUT * height) * round(CUTOUT * width) / (height * width)
    erase = v2.RandomErasing(p=1, scale=(area, area), ratio=(1, 1), value=0)
    return torch.stack([erase(image) for image in images]), labels
