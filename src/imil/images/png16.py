"""What Pillow would cut to 8 bits without a word: 16-bit colour."""

from __future__ import annotations

import logging
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from imil.cases import Image
from imil.errors import DataError

Pixels = NDArray[Any]  # uint8 or uint16; what leaves the package is an `Image`
SAVE_IT_AS = "save it as unsigned 8- or 16-bit grey or RGB"
QUIET = logging.NullHandler()  # what tifffile logs of a damaged file, we say in our sentence

# Pillow can hand out either half of each 16-bit value: read as big-endian (which PNG is) the
# upper byte, read as little-endian the lower one. Grey with alpha has as many bits as RGBA of
# 8 bits, so its bytes come as they are.
HALVES = {2: ("RGB;16B", "RGB;16L"), 6: ("RGBA;16B", "RGBA;16L"), 4: ("RGBA",)}


def colour_png(file: IO[bytes]) -> NDArray[np.uint16]:
    """A 16-bit PNG of several channels, (H, W, 2), (H, W, 3) or (H, W, 4); alpha last."""
    file.seek(25)  # the colour type, PNG 1.2 section 11.2.2
    halves = [_unpacked(file, raw) for raw in HALVES[file.read(1)[0]]]
    if len(halves) == 1:
        return halves[0].view(">u2").astype(np.uint16)
    deep: NDArray[np.uint16] = halves[0].astype(np.uint16) << np.uint16(8) | halves[1]
    return deep


def _unpacked(file: IO[bytes], raw: str) -> NDArray[np.uint8]:
    file.seek(0)
    image = PngImageFile(file)
    tiles: Any = image.tile  # of (codec, extents, offset, raw mode): named tuples since 11.0
    tiles[0] = (*tiles[0][:3], raw)
    image.load()
    return np.array(image)


def tiff_page(file: IO[bytes], most_pixels: int) -> Image:
    """The one page of a TIFF, (H, W) or (H, W, 3), turned upright, by tifffile.

    Raises: DataError: it holds no flat image of 8 or 16 bits, or tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError:
        raise DataError("needs tifffile to be read: pip install 'imil[train]'") from None
    logging.getLogger("tifffile").addHandler(QUIET)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        if len(tiff.pages) > 1:
            raise DataError("holds several images: save each in a file of its own")
        page: Any = tiff.pages.first
        if page.dtype not in (np.uint8, np.uint16) or page.axes not in ("YX", "YXS", "SYX"):
            raise DataError(f"holds {page.dtype} values of shape {page.shape}: {SAVE_IT_AS}")
        if page.imagewidth * page.imagelength > most_pixels:
            raise DataError(
                f"has {page.imagelength} × {page.imagewidth} pixels: "
                f"at most {most_pixels:,} can be read"
            )
        orientation = page.tags.valueof("Orientation", default=1)
        return turned(_flat(page), int(orientation))


def _flat(page: Any) -> Pixels:
    """Grey or RGB from whatever channels the page has; only alpha that is declared counts."""
    pixels: Pixels = page.asarray()
    if pixels.size == 0 or pixels.shape != page.shape:
        raise DataError("is damaged or cut short")
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, 2)
    colours = {0: 1, 1: 1, 2: 3}.get(int(page.photometric))  # white is 0, black is 0, RGB
    if colours is None:
        raise DataError(f"is neither grey nor RGB: {SAVE_IT_AS}")
    if pixels.ndim == 3:
        unassociated = 2  # TIFF 6.0, ExtraSamples
        if tuple(page.extrasamples) == (unassociated,):
            pixels = over_black(pixels)
        pixels = pixels[..., 0] if colours == 1 else pixels[..., :colours]
    return inverted(pixels, page.bitspersample) if page.photometric == 0 else pixels


def inverted(pixels: Pixels, bits: int) -> Pixels:
    """The image with black and white exchanged."""
    exchanged: Pixels = pixels ^ pixels.dtype.type(2**bits - 1)
    return exchanged


def over_black(pixels: Pixels) -> Pixels:
    """Colours multiplied by the alpha that comes last; as they are where there is none."""
    if pixels.shape[2] == 3:
        return pixels
    alpha, full = pixels[..., -1:], np.iinfo(pixels.dtype).max
    colours = pixels[..., :-1]
    if not (alpha == full).all():
        product = colours.astype(np.uint32) * alpha + full // 2
        colours = (product // full).astype(pixels.dtype)
    return colours[..., 0] if colours.shape[2] == 1 else colours


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """The image upright, from the orientation that EXIF numbers 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
