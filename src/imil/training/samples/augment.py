"""Random changes of a batch that leave its labels as they are: flips and crops.

Drawn for each image by itself, from torch's global generator, and carried out on the whole batch
wherever it lies. They come after a correction, and the mask of what is kept moves with its image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

BORDER = 1 / 8  # of the side: how far a crop may reach beyond the image
Augment = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]


def augment(names: Sequence[str]) -> Augment:
    """The changes of these names, one after the other.

    Each takes and returns images (B, C, H, W) and the mask of what is kept, bool (B, H, W) or None.

    Raises: KeyError: unknown name; the settings have checked it.
    """
    changes = [{"flip": flip, "crop": crop}[name] for name in names]

    def change(images: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor | None]:
        for one in changes:
            images, keep = one(images, keep)
        return images, keep

    return change


def flip(images: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Half of the images mirrored left to right."""
    mirrored = to_device(torch.rand(len(images)) < 0.5, images)
    if keep is not None:
        keep = torch.where(mirrored[:, None, None], keep.flip(-1), keep)
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images), keep


def crop(images: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Each image moved by up to an eighth of its side, up or down and sideways.

    What comes in over the border is black, and counts as kept: it lies in no square. What leaves
    is lost.

    Source: He et al. 2016, section 4.2 (4 of 32 pixels).
    """
    count, _, height, width = images.shape
    border = round(BORDER * height), round(BORDER * width)
    sides = (border[1], border[1], border[0], border[0])
    rows, cols = (
        to_device(torch.randint(2 * by + 1, (count, 1)) + torch.arange(length), images)
        for by, length in zip(border, (height, width), strict=True)
    )
    each = torch.arange(count, device=images.device)[:, None, None]
    at = each, rows[:, :, None], cols[:, None, :]
    if keep is not None:
        keep = nn.functional.pad(keep, sides, value=True)[at]
    padded = nn.functional.pad(images, sides)
    # advanced indices around a slice: its axis comes last
    return padded[at[0], :, at[1], at[2]].movedim(-1, 1), keep


def to_device(drawn: Tensor, images: Tensor) -> Tensor:
    """What was drawn on the CPU, on the device of the images; does not wait for a GPU."""
    if images.device.type == "cuda":
        return drawn.pin_memory().to(images.device, non_blocking=True)
    return drawn.to(images.device)
