"""An image of Pillow as an array of grey or RGB."""

from __future__ import annotations

import numpy as np
import PIL.Image

from imil.errors import DataError
from imil.images.pixel_operations import Pixels, composite_on_black, hide
from imil.images.tiff import SAVE_AS


def grey_or_rgb(image: PIL.Image.Image) -> Pixels:
    """The image as uint8 or uint16, (H, W) or (H, W, 3); what is transparent is black.

    Raises: DataError: it has other values than unsigned ones of 8 or 16 bits.
    """
    mode = image.mode
    hidden = image.info.get("transparency")
    if mode == "1":
        return np.array(image).astype(np.uint8) * np.uint8(255)
    if mode in ("L", "RGB") or mode.startswith("I;16"):
        pixels: Pixels = np.array(image)
        pixels = pixels.astype(np.uint16, copy=False) if mode.startswith("I;16") else pixels
        return pixels if hidden is None else hide(pixels, hidden)
    if mode in ("P", "PA"):
        has_alpha = mode == "PA" or hidden is not None
        return composite_on_black(np.array(image.convert("RGBA" if has_alpha else "RGB")))
    if mode in ("LA", "RGBA"):
        return composite_on_black(np.array(image))
    if mode in ("RGBX", "RGBa", "La"):  # a small `a`: premultiplied by alpha
        return np.array(image)[..., :-1].squeeze()
    if mode in ("CMYK", "YCbCr"):
        return np.array(image.convert("RGB"))
    raise DataError(f"contains {'32-bit' if mode == 'I' else mode} values: {SAVE_AS}")
