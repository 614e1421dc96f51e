"""What takes the place of the squares that nobody selected.

A fill is one function for every place where images are covered: a single image that is shown, a
sample that a loader's worker draws, and a whole batch on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imil.errors import SettingsError, ShapeError

# (images, keep, draw, rng) -> images of the same kind, shape and dtype, as `blackout` shows;
# `draw(n)` gives n other training images, `rng` is the generator for what is random. Both are None
# where an image is only shown.
Fill = Callable[..., Any]


def blackout(images: Any, keep: Any, draw: Any = None, rng: Any = None) -> Any:
    """A copy of the images that is black (0) outside `keep`.

    Applied to raw pixels, before normalisation: 0 must mean black (paper 3.1, step 7).

    Args:
        images: an array (H, W) or (H, W, C), or a tensor (B, C, H, W); its black is 0.
        keep: bool (H, W) or, for a batch, (B, H, W), of the same kind; True where a pixel stays.
        draw: not needed for black.
        rng: not needed for black.
    Raises: ShapeError: height or width differ.

    >>> blackout(np.array([[7, 8]]), np.array([[True, False]])).tolist()
    [[7, 0]]
    """
    size = images.shape[2:] if images.ndim == 4 else images.shape[:2]
    if size != keep.shape[-2:]:
        raise ShapeError(f"image {size} and mask {keep.shape[-2:]} differ in height or width")
    if images.ndim == 4:
        return images.masked_fill(~keep[:, None], 0)
    return np.where(
        keep if images.ndim == 2 else keep[..., None], images, np.zeros((), images.dtype)
    )


FILLS: dict[str, Fill] = {"blackout": blackout}


def fill(name: str) -> Fill:
    """The fill of that name. Raises: SettingsError: it is not known."""
    if name not in FILLS:
        raise SettingsError(f"unknown fill '{name}': expected one of {', '.join(FILLS)}")
    return FILLS[name]
