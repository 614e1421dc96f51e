"""TIFF files that Pillow cannot read at their full depth, by tifffile."""

from __future__ import annotations

import logging
from typing import IO, Any

import numpy as np

from imil.cases import Image
from imil.errors import DataError
from imil.images.pixel_operations import Pixels, apply_orientation, composite_on_black, invert

SAVE_AS = "save it as unsigned 8- or 16-bit grey or RGB"
SILENT = logging.NullHandler()  # what tifffile logs of a damaged file is in our error message


def read_tiff(file: IO[bytes], max_pixels: int) -> Image:
    """The only page of a TIFF, (H, W) or (H, W, 3), turned upright.

    Raises: DataError: it is not a 2-D image of 8 or 16 bits, or tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError:
        raise DataError("needs tifffile to be read: pip install 'imil[train]'") from None
    logging.getLogger("tifffile").addHandler(SILENT)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        if len(tiff.pages) > 1:
            raise DataError("contains several images: save each in a file of its own")
        page: Any = tiff.pages.first
        if page.dtype not in (np.uint8, np.uint16) or page.axes not in ("YX", "YXS", "SYX"):
            raise DataError(f"contains {page.dtype} values of shape {page.shape}: {SAVE_AS}")
        if page.imagewidth * page.imagelength > max_pixels:
            raise DataError(
                f"has {page.imagelength} × {page.imagewidth} pixels: expected at most "
                f"{max_pixels:,}"
            )
        orientation = page.tags.valueof("Orientation", default=1)
        return apply_orientation(_grey_or_rgb(page), int(orientation))


def _grey_or_rgb(page: Any) -> Pixels:
    """Grey or RGB from the channels of the page; only alpha that is declared counts."""
    pixels: Pixels = page.asarray()
    if pixels.size == 0 or pixels.shape != page.shape:
        raise DataError("is damaged or truncated")
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, 2)
    colours = {0: 1, 1: 1, 2: 3}.get(int(page.photometric))  # white is 0, black is 0, RGB
    if colours is None:
        raise DataError(f"is neither grey nor RGB: {SAVE_AS}")
    if pixels.ndim == 3:
        unassociated = 2  # TIFF 6.0, ExtraSamples
        if tuple(page.extrasamples) == (unassociated,):
            pixels = composite_on_black(pixels)
        pixels = pixels[..., 0] if colours == 1 else pixels[..., :colours]
    return invert(pixels, page.bitspersample) if page.photometric == 0 else pixels
