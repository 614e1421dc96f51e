"""16-bit PNGs of several channels, which Pillow alone would silently cut to 8 bits."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

# Pillow can return either half of each 16-bit value: read as big-endian (which PNG is) the
# upper byte, read as little-endian the lower one. Grey with alpha has as many bits as RGBA of
# 8 bits, so its bytes come unchanged.
RAW_MODES = {2: ("RGB;16B", "RGB;16L"), 6: ("RGBA;16B", "RGBA;16L"), 4: ("RGBA",)}


def read_png16(file: IO[bytes]) -> NDArray[np.uint16]:
    """A 16-bit PNG of several channels, (H, W, 2), (H, W, 3) or (H, W, 4); alpha last."""
    file.seek(25)  # the colour type, PNG 1.2 section 11.2.2
    halves = [_decode(file, raw_mode) for raw_mode in RAW_MODES[file.read(1)[0]]]
    if len(halves) == 1:
        return halves[0].view(">u2").astype(np.uint16)
    pixels: NDArray[np.uint16] = halves[0].astype(np.uint16) << np.uint16(8) | halves[1]
    return pixels


def _decode(file: IO[bytes], raw_mode: str) -> NDArray[np.uint8]:
    file.seek(0)
    image = PngImageFile(file)
    tiles: Any = image.tile  # of (codec, extents, offset, raw mode): named tuples since 11.0
    tiles[0] = (*tiles[0][:3], raw_mode)
    image.load()
    return np.array(image)
