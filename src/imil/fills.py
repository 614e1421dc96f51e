"""What takes the place of the squares that nobody selected.

A fill is a function of arrays alone: (image, keep) -> image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError

Fill = Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]]


def blackout(image: NDArray[Any], keep: NDArray[np.bool_]) -> NDArray[Any]:
    """A copy of the image that is black (0) outside `keep`.

    Applied to raw pixels, before normalisation: 0 must mean black (paper 3.1, step 7).

    Args:
        image: (H, W) or (H, W, C), any dtype whose black is 0.
        keep: (H, W), True where the image stays as it is.
    Raises: ShapeError: height or width differ.

    >>> blackout(np.array([[7, 8]]), np.array([[True, False]])).tolist()
    [[7, 0]]
    """
    if image.shape[:2] != keep.shape:
        raise ShapeError(f"image {image.shape[:2]} and mask {keep.shape} differ in height or width")
    return np.where(keep if image.ndim == 2 else keep[..., None], image, np.zeros((), image.dtype))


FILLS: dict[str, Fill] = {"blackout": blackout}


def fill(name: str) -> Fill:
    """The fill of that name. Raises: SettingsError: there is none."""
    if name not in FILLS:
        raise SettingsError(f"'{name}' is no fill: give one of {', '.join(FILLS)}")
    return FILLS[name]
