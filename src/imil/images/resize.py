"""An image at the training size: the input of the model, before normalisation.

Training and the reading room's preview share it, so that a reader sees the same blackout as the
model (but for at most two grey levels where training decodes a large JPEG at a fraction of its
size, and in colour where the image has any, though training may be on grey).
"""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from imil.cases import Image

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's mode L
REDUCING_GAP = 3.0  # Pillow averages boxes down to 3 times the size, then interpolates


def resize_to_square(image: Image, size: int, channels: int) -> NDArray[np.uint8]:
    """The image as uint8 (S, S) or (S, S, 3), its aspect ratio not kept (the paper resizes).

    Antialiased bilinear. 16 bits become 8 linearly from the image's own minimum (0) to its
    maximum (255), the same for all channels; an image of one value becomes 0.

    Args:
        image: uint8 or uint16, (H, W) or (H, W, 3).
        size: S, in pixels.
        channels: 1 converts colours to grey, 3 repeats grey.
    """
    if image.dtype == np.uint8:
        picture = PIL.Image.fromarray(image)
        mode = "L" if channels == 1 else "RGB"
        # `convert` copies even where the mode is the same
        picture = picture if picture.mode == mode else picture.convert(mode)
        return np.asarray(_resize(picture, size), np.uint8)
    low, high = int(image.min()), int(image.max())
    if image.ndim == 2:
        # by Pillow: four times as fast as through a float array, which Pillow copies
        planes = [PIL.Image.fromarray(image).convert("F")]
    else:
        values = image.astype(np.float32)
        split = [values @ LUMA] if channels == 1 else np.moveaxis(values, 2, 0)
        planes = [PIL.Image.fromarray(plane) for plane in split]
    small = np.dstack([np.asarray(_resize(plane, size)) for plane in planes])
    scaled = (small - low) * (255 / max(high - low, 1))
    eight_bits = np.rint(scaled).clip(0, 255).astype(np.uint8)
    if channels == 1:
        return eight_bits[..., 0]
    return np.ascontiguousarray(np.broadcast_to(eight_bits, (size, size, 3)))


def _resize(picture: PIL.Image.Image, size: int) -> PIL.Image.Image:
    return picture.resize((size, size), PIL.Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
