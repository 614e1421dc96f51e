"""What the squares that nobody selected are replaced with in training.

Each takes a batch of corrected images and returns whole images; `Cover` shows them where nothing
was selected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from imil.errors import SettingsError
from imil.treatments.batch import Batch, as_pixels, moved
from imil.treatments.linear_imputation import linear_surface
from imil.treatments.treatment import Draw

BLUR = 10 / 224  # standard deviation as a share of the side (Fong and Vedaldi 2017, section 4.2)
NOISE = 0.01  # standard deviation as a share of the image's range (ROAD 2022's implementation)
TRIES = 32  # draws in which a donor of the wanted class is looked for
DONORS = ("any", "same", "other")


@dataclass(frozen=True)
class Source:
    """What replacements are made from.

    Args:
        batch: images with squares that nobody selected, and their `keep`, which may be shares.
        draw: gives other training images.
        rng: on the CPU.
        donor: the class of other images: any, the same, or another one.
    """

    batch: Batch
    keep: Tensor
    draw: Draw
    rng: torch.Generator
    donor: str

    def noise(self) -> Tensor:
        """Standard normal numbers, float32 like the images."""
        images = self.batch.images
        return moved(torch.randn(images.shape, generator=self.rng), images)


def black(source: Source) -> Tensor:
    """0 everywhere (paper 3.1, step 7)."""
    return torch.zeros_like(source.batch.images)


def mean(source: Source) -> Tensor:
    """The mean of the selected pixels, by channel; black where none is selected."""
    images = source.batch.images
    return as_pixels(_moments(source)[0].expand(images.shape), images)


def blur(source: Source) -> Tensor:
    """The image itself, blurred. Source: Fong and Vedaldi 2017, section 4.2."""
    images = source.batch.images
    result = images.float()
    for axis in range(2, images.ndim):
        result = _gaussian(result, axis)
    return as_pixels(result, images)


def noise(source: Source) -> Tensor:
    """Normal noise with mean and standard deviation of the selected pixels, by channel.

    It stays within the image's range. Source: Fong and Vedaldi 2017, section 4.2.
    """
    centre, spread = _moments(source)
    return _within_range(centre + spread * source.noise(), source.batch.images)


def linear(source: Source) -> Tensor:
    """Noisy linear imputation, see `imil.treatments.linear_imputation`. Source: ROAD 2022."""
    images = source.batch.images
    low, high = _range(images)
    surface = linear_surface(images, source.keep >= 1)
    return _within_range(surface + NOISE * (high - low) * source.noise(), images)


def other(source: Source) -> Tensor:
    """Another training image each, of the wanted class where one is drawn within 32 tries.

    Source: Xiao et al. 2021 ("Noise or Signal: The Role of Image Backgrounds in Object
    Recognition"): mixed-same and mixed-random backgrounds.
    """
    donors = source.draw(len(source.batch.images))
    images = donors.images.clone()
    if source.donor == "any":
        return images
    own, theirs = source.batch.labels.cpu(), donors.labels.cpu()
    wrong = torch.arange(len(own))[(own == theirs) != (source.donor == "same")]
    for _ in range(TRIES - 1):
        if not len(wrong):
            break
        again = source.draw(len(wrong))
        images[moved(wrong, images)] = again.images
        fits = (own[wrong] == again.labels.cpu()) == (source.donor == "same")
        wrong = wrong[~fits]
    return images


Replacement = Callable[[Source], Tensor]
REPLACEMENTS: dict[str, Replacement] = {
    "black": black,
    "mean": mean,
    "blur": blur,
    "noise": noise,
    "linear": linear,
    "other": other,
}


def check_donor(donor: str, labels: NDArray[np.int64]) -> None:
    """Raises: SettingsError: an image of another class is wanted, and there is only one class."""
    if donor == "other" and len(np.unique(labels)) < 2:
        raise SettingsError(
            "donor=other takes squares from images of another class, and all training images are "
            "of one class: give donor=any"
        )


def _moments(source: Source) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the selected pixels, each (B, C, 1, 1), or with one more 1."""
    keep, images = source.keep[:, None], source.batch.images.float()
    place = tuple(range(2, images.ndim))
    count = keep.sum(dim=place, keepdim=True).clamp(min=1)
    centre = (images * keep).sum(dim=place, keepdim=True) / count
    variance = ((images - centre).square() * keep).sum(dim=place, keepdim=True) / count
    return centre, variance.sqrt()


def _range(images: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and highest value of each image, (B, 1, 1, 1), or with one more 1."""
    values, inside = images.float(), tuple(range(1, images.ndim))
    return values.amin(dim=inside, keepdim=True), values.amax(dim=inside, keepdim=True)


def _within_range(values: Tensor, images: Tensor) -> Tensor:
    return as_pixels(values.clamp(*_range(images)), images)


def _gaussian(images: Tensor, axis: int) -> Tensor:
    """The images blurred along one axis; border pixels are repeated beyond it."""
    if images.ndim == 5:  # volumes: the plane in which the axis lies
        plane = images.flatten(3) if axis == 2 else images.flatten(1, 2)
        return _gaussian(plane, max(axis - 1, 2)).view(images.shape)
    sigma = BLUR * images.shape[axis]
    reach = ceil(3 * sigma)
    at = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-(at.float().square()) / (2 * sigma**2))
    shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
    pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    flat = images.flatten(0, 1)[:, None]
    padded = functional.pad(flat, pad, mode="replicate")
    return functional.conv2d(padded, (weights / weights.sum()).view(shape)).view(images.shape)
