"""Pixels and heat-maps as colours on a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.cases import HeatMap, Image
from imil.errors import ShapeError

Picture = NDArray[np.uint8]

# Indigo, violet, red, orange, straw: lightness (CIE L*) rises from 4 to 89 in nearly equal
# steps, so the order survives grey printing and every kind of colour blindness. A map that
# passes through grey (as blue to yellow does) would be invisible on a radiograph.
ANCHORS = np.array(
    [
        (14, 8, 36),
        (56, 18, 92),
        (112, 28, 116),
        (170, 42, 100),
        (220, 70, 62),
        (246, 118, 26),
        (250, 172, 34),
        (253, 222, 112),
    ],
    np.float64,
)


def to_uint8(image: Image) -> Picture:
    """The image for display: uint8 unchanged, uint16 linear from its own minimum to its maximum.

    Args:
        image: uint8 or uint16, (H, W) or (H, W, 3).

    >>> to_uint8(np.array([[1000, 2000, 3000]], np.uint16)).tolist()
    [[0, 128, 255]]
    """
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    low, high = int(image.min()), int(image.max())
    table = np.arange(high + 1, dtype=np.float64) - low
    table = np.clip(table * (255 / max(high - low, 1)) + 0.5, 0, 255)
    shown: Picture = table.astype(np.uint8)[image]
    return shown


def colour_map(values: NDArray[Any]) -> Picture:
    """The colour of each value, uint8, shape of `values` plus 3 (red, green, blue).

    Args:
        values: any shape, in [0, 1]; 0 is darkest, 1 is brightest.
    """
    colours: Picture = _COLOURS[(np.clip(values, 0, 1) * 255 + 0.5).astype(np.intp)]
    return colours


def overlay(image: Image, cam: HeatMap, opacity: float = 0.45) -> Picture:
    """The heat-map blended over the image, uint8 (H, W, 3).

    The heat-map is enlarged bilinearly to the image. Opacity grows with the value: where it is 0,
    the image is unchanged.

    Args:
        image: uint8 or uint16, (H, W) or (H, W, 3).
        cam: (h, w), in [0, 1].
        opacity: of the maximum, in [0, 1].
    Raises: ShapeError: the heat-map is not two-dimensional, or has NaN.
    Source: paper 3.1, step 5.
    """
    if cam.ndim != 2 or not np.isfinite(cam).all():
        raise ShapeError(
            f"invalid heat-map of shape {cam.shape}: expected (height, width) of finite numbers"
        )
    height, width = image.shape[:2]
    plane = Pillow.fromarray(cam.astype(np.float32))
    heat = np.asarray(plane.resize((width, height), Pillow.Resampling.BILINEAR)).clip(0, 1)
    film = to_uint8(image)
    film = film[..., None] if film.ndim == 2 else film
    alpha = np.float32(opacity) * heat[..., None]
    return (film * (1 - alpha) + colour_map(heat) * alpha + np.float32(0.5)).astype(np.uint8)


def _table() -> Picture:
    """256 colours between the anchors."""
    at = np.linspace(0, len(ANCHORS) - 1, 256)
    channels = [np.interp(at, np.arange(len(ANCHORS)), channel) for channel in ANCHORS.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


_COLOURS = _table()
