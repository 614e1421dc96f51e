"""Operations on decoded pixels: inversion, alpha, orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]  # uint8 or uint16; what `load_image` returns is an `Image`


def invert(pixels: Pixels, bits: int) -> Pixels:
    """The image with black and white exchanged."""
    inverted: Pixels = pixels ^ pixels.dtype.type(2**bits - 1)
    return inverted


def composite_on_black(pixels: Pixels) -> Pixels:
    """Colours multiplied by the alpha in the last channel; unchanged where there is none."""
    if pixels.shape[2] == 3:
        return pixels
    alpha, full = pixels[..., -1:], np.iinfo(pixels.dtype).max
    colours = pixels[..., :-1]
    if not (alpha == full).all():
        product = colours.astype(np.uint32) * alpha + full // 2
        colours = (product // full).astype(pixels.dtype)
    return colours[..., 0] if colours.shape[2] == 1 else colours


def hide(pixels: Pixels, value: int | tuple[int, ...]) -> Pixels:
    """The image, black where it has that grey or colour, which is transparent."""
    equal = pixels == np.array(value, pixels.dtype)
    hidden = equal if pixels.ndim == 2 else equal.all(axis=2)
    result = pixels.copy()
    result[hidden] = 0
    return result


def apply_orientation(pixels: Pixels, orientation: int) -> Pixels:
    """The image upright, from the orientation that EXIF numbers 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
