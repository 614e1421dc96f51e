"""A raw image of a data set as readers are shown it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.errors import DataError
from imil.images.pillow_image import grey_or_rgb

Shown = NDArray[np.uint8] | NDArray[np.uint16]


def shown_image(raw: Any) -> Shown:
    """The image as uint8 or uint16, (H, W) or (H, W, 3); of a volume, (D, H, W).

    Args:
        raw: a PIL image, or an array (H, W), (H, W, 1) or (H, W, 3), or (D, H, W, 1).
    Raises: DataError: it holds neither 8- nor 16-bit pixels, nor floats in [0, 1]; or it has
        other channels than grey or red, green and blue.
    """
    if getattr(raw, "mode", "F") not in ("F", "I"):  # of Pillow: perhaps a palette, alpha, inks
        try:
            array: NDArray[Any] = grey_or_rgb(raw)
        except DataError as error:
            raise DataError(f"a raw image {error}") from None
    else:
        array = np.asarray(raw)
    if array.ndim == 4 and array.shape[3] == 1:  # a volume of one channel
        array = array[..., 0]
    else:
        array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        _check_channels(array)
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        return np.round(array * 255).astype(np.uint8)
    raise DataError(
        f"raw images of {array.dtype} cannot be shown: give 8- or 16-bit pixels or floats in "
        "[0, 1], or pass `original`, a function that gives what a reader should see"
    )


def _check_channels(array: NDArray[Any]) -> None:
    """Raises: DataError: it is neither grey nor red, green and blue."""
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] != 3):
        raise DataError(
            f"raw images of shape {tuple(array.shape)} cannot be shown: give (H, W) or (H, W, 3), "
            "a tensor (1, H, W) or (3, H, W), (1, D, H, W) of a volume, or pass `original`, a "
            "function that gives what a reader should see"
        )
