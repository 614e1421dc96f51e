"""Random changes of a batch that leave its labels as they are: flips and crops.

Drawn for each image by itself, from torch's global generator, and carried out on the whole batch
wherever it lies. They come after a correction, which so moves with its image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

BORDER = 1 / 8  # of the side: how far a crop may reach beyond the image
Change = Callable[[Tensor], Tensor]


def augment(names: Sequence[str]) -> Change:
    """The changes of these names, one after the other: images (B, C, H, W) -> images.

    Raises: KeyError: unknown name; the settings have checked it.
    """
    changes = [{"flip": flip, "crop": crop}[name] for name in names]

    def change(images: Tensor) -> Tensor:
        for one in changes:
            images = one(images)
        return images

    return change


def flip(images: Tensor) -> Tensor:
    """Half of the images mirrored left to right."""
    mirrored = torch.rand(len(images)) < 0.5
    return torch.where(there(mirrored, images)[:, None, None, None], images.flip(-1), images)


def crop(images: Tensor) -> Tensor:
    """Each image moved by up to an eighth of its side, up or down and sideways.

    What comes in over the border is black; what leaves is lost.

    Source: He et al. 2016, section 4.2 (4 of 32 pixels).
    """
    count, _, height, width = images.shape
    border = round(BORDER * height), round(BORDER * width)
    wide = nn.functional.pad(images, (border[1], border[1], border[0], border[0]))
    rows, cols = (
        there(torch.randint(2 * by + 1, (count, 1)) + torch.arange(length), images)
        for by, length in zip(border, (height, width), strict=True)
    )
    each = torch.arange(count, device=images.device)[:, None, None]
    # advanced indices around a slice: its axis comes last
    return wide[each, :, rows[:, :, None], cols[:, None, :]].movedim(-1, 1)


def there(drawn: Tensor, images: Tensor) -> Tensor:
    """What was drawn, where the images are: a GPU is not waited for."""
    if images.device.type == "cuda":
        return drawn.pin_memory().to(images.device, non_blocking=True)
    return drawn.to(images.device)
