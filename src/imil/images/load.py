"""Image files to arrays, lossless, at the depth in which they are stored.

A file that cannot be used raises a DataError of one sentence. Nothing is guessed: an image that
would have to be cut to 8 bits, or rescaled, is not read.
"""

from __future__ import annotations

import os
from typing import IO

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from imil.cases import Image
from imil.geometry import NOT_STATED, Geometry
from imil.images import tiff_header as tiff_tags
from imil.images import volumes
from imil.images.budget import MAX_PIXELS
from imil.images.file_parts import FilePart
from imil.images.jpeg import load_jpeg, rgb_or_grey
from imil.images.mask import selected_pixels, selected_pixels_of_jpeg
from imil.images.opened_file import DICOM_MARK, kind_of_file, opened_file, slice_named
from imil.images.pixel_operations import Pixels, apply_orientation
from imil.images.png import load_png, open_png
from imil.images.tiff import checked_header, read_tiff

__all__ = [
    "DICOM_MARK",
    "MAX_PIXELS",
    "SUFFIXES",
    "check_end",
    "image_geometry",
    "image_size",
    "load_image",
    "load_mask",
]

PNG_END, JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
ORIENTATION = 274  # of EXIF


def load_image(path: str | os.PathLike[str], *, at_least: int | None = None) -> Image:
    """The image as stored: uint8 or uint16, (H, W) if grey or (H, W, 3), turned upright.

    PNG and TIFF of up to 16 bits, JPEG, DICOM (see `imil.images.dicom`). A colour file whose
    channels are equal comes back grey. Palettes and CMYK become RGB; 1, 2 and 4 bits become 0 to
    255; transparent pixels are black; a TIFF that stores white as 0 is inverted; EXIF orientation
    is applied.

    Args:
        path: a file of at most 100 million pixels, and 320 MB when decoded; of DICOM files of
            several frames, with the frame, as `us.dcm#frame=1`; of volumes (NIfTI files, folders of
            a DICOM series, enhanced DICOM files), with the slice or three neighbours, as
            `ct.nii.gz#slice=40` and `series#slices=39-41`.
        at_least: minimum length of either side, in pixels. A JPEG may then be decoded at a half,
            a quarter or an eighth of its size, averaged over boxes, in a fraction of the time.
    Raises: DataError: the file does not exist, is damaged, or is not such an image.
    """
    with slice_named(path) as named:
        if named is not None:
            return volumes.load_slice(*named)
    with opened_file(path) as (file, part):
        return _load(file, part, at_least)


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """True where the mask selects, (H, W): where it is not black; see `imil.images.mask`.

    Raises: DataError: as `load_image`, or it cannot be known what the mask selects.
    """
    with slice_named(path) as named:
        if named is not None:
            return selected_pixels(volumes.load_slice(*named))
    with opened_file(path) as (file, part):
        pixels = _load(file, part, None)
        select = selected_pixels_of_jpeg if kind_of_file(file, part) == "JPEG" else selected_pixels
        return select(pixels)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of the image that `load_image` returns, from the header alone.

    Raises: DataError: the file does not exist, or its header says that it cannot be read.
    """
    with slice_named(path) as named:
        if named is not None:
            return volumes.slice_size(*named)
    with opened_file(path) as (file, part):
        kind = kind_of_file(file, part)
        if kind == "DICOM":
            from imil.images.dicom import dicom_size

            return dicom_size(file, part)
        if kind == "TIFF":
            header = checked_header(file)
            height, width = header.number(tiff_tags.HEIGHT), header.number(tiff_tags.WIDTH)
            orientation = header.orientation
        else:
            image = open_png(file) if kind == "PNG" else JpegImageFile(file)
            (width, height), orientation = image.size, _orientation(image)
        return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def image_geometry(path: str | os.PathLike[str]) -> Geometry:
    """Size of a pixel, laterality and directions, where the file states them: DICOM and NIfTI do.

    Raises: DataError: as `image_size`.
    """
    with slice_named(path) as named:
        if named is not None:
            return volumes.slice_geometry(*named)
    with opened_file(path) as (file, part):
        if kind_of_file(file, part) != "DICOM":
            return NOT_STATED
        from imil.images.dicom import dicom_geometry

        return dicom_geometry(file, part)


def check_end(path: str | os.PathLike[str]) -> None:
    """Check that a file is complete; a PNG or JPEG without its end marker is decoded to find out.

    Raises: DataError: it is truncated.
    """
    with slice_named(path) as named:
        if named is not None:
            volumes.load_slice(*named)
            return
    with opened_file(path) as (file, _):
        file.seek(-min(len(PNG_END), os.fstat(file.fileno()).st_size), os.SEEK_END)
        if file.read().endswith((PNG_END, JPEG_END)):
            return
    load_image(path)


def _load(file: IO[bytes], part: FilePart | None, at_least: int | None) -> Image:
    kind = kind_of_file(file, part)
    if kind == "DICOM":
        from imil.images.dicom import load_dicom  # here: pydicom is optional, and slow to load

        return _grey_if_equal(load_dicom(file, part))
    if kind == "TIFF":
        return _grey_if_equal(read_tiff(file))
    if kind == "PNG":
        png = open_png(file)
        pixels, orientation = load_png(file, png), _orientation(png)
    else:
        jpeg = load_jpeg(file, at_least)
        pixels, orientation = rgb_or_grey(jpeg), _orientation(jpeg)
    return _grey_if_equal(apply_orientation(pixels, orientation))


def _orientation(image: ImageFile) -> int:
    """1 to 8, as EXIF numbers them; 1 where it is not given."""
    exif = PIL.Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = int(exif.get(ORIENTATION, 1))
    except Exception:  # damaged EXIF is ignored; the pixels are intact
        return 1
    return value if value in range(1, 9) else 1


def _grey_if_equal(pixels: Pixels) -> Image:
    if pixels.ndim == 3:
        red, green, blue = np.moveaxis(pixels, 2, 0)
        pixels = red if np.array_equal(red, green) and np.array_equal(red, blue) else pixels
    return np.ascontiguousarray(pixels)
