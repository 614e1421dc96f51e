"""Which pixels of a mask are selected, whatever the values that it was saved with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError

# a mask from a JPEG has values around those that were drawn
MOST_DARK, LEAST_BRIGHT, MIDDLE = 64, 192, 128
SAVE_AS = "save it with 0 outside and 255 inside"

Selected = NDArray[np.bool_]


def selected_pixels(pixels: Image) -> Selected:
    """True where the mask selects, (H, W).

    What is not black is selected. Where no pixel is black, there must be two values, and the one
    that covers less is selected.

    Args:
        pixels: as `load_image` returns them, not from a JPEG.
    Raises: DataError: it cannot be known what is selected.
    """
    lit = _differs(pixels, np.zeros(pixels.shape[2:], pixels.dtype))
    if not lit.all():
        return lit
    first = pixels[0, 0]
    other = _differs(pixels, first)
    if not other.any():
        raise DataError(f"has no background: all pixels have the value {_text(first)}; {SAVE_AS}")
    second = pixels[other][0]
    if (other & _differs(pixels, second)).any():
        raise DataError(f"has no background: no pixel is 0, and there are many values; {SAVE_AS}")
    covered = int(other.sum())
    if 2 * covered == other.size:
        raise DataError(
            f"has no background: the values {_text(first)} and {_text(second)} cover half of it "
            f"each; {SAVE_AS}"
        )
    return other if 2 * covered < other.size else ~other


def selected_pixels_of_jpeg(pixels: Image) -> Selected:
    """True where the mask selects, (H, W): where it is bright.

    Args:
        pixels: uint8, as `load_image` returns them.
    Raises: DataError: it is neither dark outside nor bright inside.
    """
    grey = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    low, high = int(grey.min()), int(grey.max())
    if low > MOST_DARK or 0 < high < LEAST_BRIGHT:
        raise DataError(
            f"is a JPEG with values from {low} to {high}, in which the mask cannot be told from "
            f"its background: {SAVE_AS}, as PNG"
        )
    return np.asarray(grey >= MIDDLE)


def _differs(pixels: Image, value: NDArray[np.generic]) -> Selected:
    different = pixels != value
    return np.asarray(different if pixels.ndim == 2 else different.any(axis=2))


def _text(value: NDArray[np.generic]) -> str:
    return str(value.tolist())
