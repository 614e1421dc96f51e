"""PNG files: by Pillow, but for transparency that is one colour, and 16 bits (see `png16`)."""

from __future__ import annotations

from typing import IO

from PIL.PngImagePlugin import PngImageFile

from imil.errors import DataError
from imil.images.budget import check_budget
from imil.images.pillow_image import grey_or_rgb
from imil.images.pixel_operations import Pixels, composite_on_black, hide
from imil.images.png16 import read_png16

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type, PNG 1.2 section 4.1.1
GREY, RGB = 0, 2


def open_png(file: IO[bytes]) -> PngImageFile:
    """The header of a PNG.

    Raises: DataError: it is too large, or contains several images.
    """
    depth, colour = _depth_and_colour(file)
    file.seek(16)
    width, height = (int.from_bytes(file.read(4), "big") for _ in range(2))
    check_budget(height, width, CHANNELS.get(colour, 1) * (2 if depth == 16 else 1))
    file.seek(0)
    image = PngImageFile(file)
    if getattr(image, "n_frames", 1) > 1:
        raise DataError("contains several images: save each in a file of its own")
    return image


def load_png(file: IO[bytes], image: PngImageFile) -> Pixels:
    """The pixels as grey or RGB, uint8 or uint16; what is transparent is black.

    Args:
        file: the PNG.
        image: from `open_png`.
    """
    depth, colour = _depth_and_colour(file)
    # of a palette, transparency belongs to its entries, and Pillow knows it
    hidden = _transparent_value(file, depth) if colour in (GREY, RGB) else None
    if hidden is not None:
        image.info.pop("transparency", None)
    if depth == 16 and colour != GREY:
        pixels: Pixels = composite_on_black(read_png16(file))
    else:
        file.seek(0)
        image.load()
        pixels = grey_or_rgb(image)
    return pixels if hidden is None else hide(pixels, hidden)


def _depth_and_colour(file: IO[bytes]) -> tuple[int, int]:
    file.seek(24)  # signature 8, chunk head 8, width 4, height 4
    depth, colour = file.read(2)
    return depth, colour


def _transparent_value(file: IO[bytes], depth: int) -> tuple[int, ...] | None:
    """The grey or the colour that is transparent, as the decoded pixels have it."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name in (b"IDAT", b"IEND"):
            return None
        if name == b"tRNS":
            data = file.read(min(length, 6))
            top, most = 2**depth - 1, 65535 if depth == 16 else 255
            values = (int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
            # only the bits of the file's depth count: PNG 1.2, section 4.2.9
            return tuple((value & top) * (most // top) for value in values)
        file.seek(length + 4, 1)  # and the check sum
    return None
