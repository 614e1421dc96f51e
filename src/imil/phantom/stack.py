"""A volume of phantoms: films stacked as slices, with lesions in a few neighbouring ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError
from imil.phantom.film import draw


class Stack(NamedTuple):
    """A volume with the mask of its lesions.

    Attributes:
        volume: uint8 (D, H, W).
        lesion: (D, H, W), True in a lesion; all False in class normal.
    """

    volume: NDArray[np.uint8]
    lesion: NDArray[np.bool_]


def draw_stack(
    label: int,
    rng: np.random.Generator,
    *,
    slices: int = 16,
    size: int = 32,
    lesion_slices: int = 4,
    difficulty: float = 0.0,
) -> Stack:
    """One volume, whose slices have one anatomy.

    Args:
        label: 0 for normal, 1 for lesions in `lesion_slices` neighbouring slices.
        rng: for everything else; the same state gives the same volume.
        slices: D, at least `lesion_slices`.
        size: H and W, 32 to 4096.
        lesion_slices: 1 or more.
        difficulty: of seeing the lesions, 0 to 1, as for `draw`.
    Raises: SettingsError: there are fewer slices than those with lesions.
    """
    if not 1 <= lesion_slices <= slices:
        raise SettingsError(
            f"{lesion_slices} of {slices} slices cannot have lesions: give 1 to {slices}"
        )
    seed = int(rng.integers(2**32))
    plain = draw(0, np.random.default_rng(seed), size=size, difficulty=difficulty)
    ill = draw(1, np.random.default_rng(seed), size=size, difficulty=difficulty)
    first = int(rng.integers(slices - lesion_slices + 1))
    volume = np.repeat(plain.image[None], slices, axis=0).astype(np.uint8)
    lesions = np.zeros(volume.shape, bool)
    if label:
        volume[first : first + lesion_slices] = ill.image
        lesions[first : first + lesion_slices] = ill.lesion
    noise = rng.integers(-3, 4, volume.shape)  # no two slices are equal
    noisy = np.clip(volume.astype(np.int16) + noise, 1, 255).astype(np.uint8)
    return Stack(noisy, lesions)
