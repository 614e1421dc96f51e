"""Image files to arrays, lossless, at the depth in which they are stored.

A file that cannot be used raises a DataError of one sentence. Nothing is guessed: an image that
would have to be cut to 8 bits, or rescaled, is not read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from imil.cases import Image
from imil.errors import DataError
from imil.images.pixel_operations import Pixels, apply_orientation, composite_on_black, invert
from imil.images.png16 import read_png16
from imil.images.tiff import SAVE_AS, read_tiff

MAX_PIXELS = 100_000_000  # 10,000 × 10,000; a mammogram has 25 million
PNG_END, JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# TIFF 6.0 tags; EXIF has the first of them too
ORIENTATION, BITS, PHOTOMETRIC, SAMPLE_FORMAT, DEPTH = 274, 258, 262, 339, 32997


def load_image(path: str | os.PathLike[str], *, at_least: int | None = None) -> Image:
    """The image as stored: uint8 or uint16, (H, W) if grey or (H, W, 3), turned upright.

    PNG and TIFF of 8 and 16 bits, JPEG. A colour file whose channels are equal comes back
    grey. Palettes and CMYK become RGB; 1-bit becomes 0 and 255; transparent pixels are black; a
    TIFF that stores white as 0 is inverted; EXIF orientation is applied.

    Args:
        path: a file of at most 100 million pixels.
        at_least: minimum length of either side, in pixels. A JPEG may then be decoded at a half,
            a quarter or an eighth of its size, averaged over boxes, in a fraction of the time.
    Raises: DataError: the file does not exist, is damaged, or is not such an image.
    """
    with _data_errors(Path(path)), Path(path).open("rb") as file:
        image = _open(file)
        if image is not None:
            _check(image)
            if at_least is not None and isinstance(image, JpegImageFile):
                image.draft(image.mode, (at_least, at_least))
        if image is None or _is_16_bit_colour(image):
            return _grey_if_equal(read_tiff(file, MAX_PIXELS))
        if isinstance(image, PngImageFile) and _png_depth(file) == 16 and image.mode != "I;16":
            pixels: Pixels = composite_on_black(read_png16(file))
        else:
            image.load()
            pixels = grey_or_rgb(image)
        # Pillow applies a TIFF's orientation while it loads it
        orientation = 1 if isinstance(image, TiffImageFile) else _orientation(image)
        return _grey_if_equal(apply_orientation(pixels, orientation))


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """True where the image is not black (`> 0` in any channel), (H, W).

    Raises: DataError: as `load_image`.
    """
    pixels = load_image(path)
    return np.asarray(pixels > 0 if pixels.ndim == 2 else (pixels > 0).any(axis=2))


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of the image that `load_image` returns, from the header alone.

    Raises: DataError: the file does not exist, or its header cannot be read.
    """
    with _data_errors(Path(path)), Path(path).open("rb") as file:
        image = _open(file)
        if image is None:
            return read_tiff(file, MAX_PIXELS).shape[:2]
        width, height = image.size
        if isinstance(image, TiffImageFile):  # newer versions of Pillow rotate `size`
            width, height = image.tag_v2[256], image.tag_v2[257]
        return (width, height) if _orientation(image) in (5, 6, 7, 8) else (height, width)


def check_end(path: str | os.PathLike[str]) -> None:
    """Check that a file is complete; a PNG or JPEG without its end marker is decoded to find out.

    Raises: DataError: it is truncated.
    """
    with _data_errors(Path(path)), Path(path).open("rb") as file:
        file.seek(-min(len(PNG_END), os.fstat(file.fileno()).st_size), os.SEEK_END)
        if file.read().endswith((PNG_END, JPEG_END)):
            return
    load_image(path)


@contextmanager
def _data_errors(path: Path) -> Iterator[None]:
    """Turns every error that a file can cause into a DataError that names it."""
    try:
        _check_file(path)
        yield
    except DataError as error:
        raise DataError(f"'{path}' {error}") from None
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"'{path}' does not exist") from None
    except PermissionError:
        raise DataError(f"'{path}' cannot be read: permission denied") from None
    except MemoryError:
        raise DataError(f"'{path}' cannot be read: not enough memory") from None
    except Exception as error:  # decoders raise any exception for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"'{path}' is damaged or truncated ({reason})") from error


def _check_file(path: Path) -> None:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise DataError("is a folder, not an image")
    if not stat.S_ISREG(status.st_mode):
        raise DataError("is not a regular file")
    if status.st_size == 0:
        raise DataError("is empty")


def _open(file: IO[bytes]) -> ImageFile | None:
    """The header, by the first bytes and not by the name; None for a TIFF that Pillow cannot read.

    The plug-ins are called directly: `PIL.Image.open` tries other formats too, and warns of large
    images through the global state of the warnings module.
    """
    start = file.read(8)
    file.seek(0)
    if start == b"\x89PNG\r\n\x1a\n":
        return PngImageFile(file)
    if start[:3] == b"\xff\xd8\xff":
        return JpegImageFile(file)
    if start[:4] == b"MM\0+":  # a BigTIFF, which Pillow takes for a classic TIFF
        return None
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        try:
            return TiffImageFile(file)
        except (SyntaxError, KeyError):  # an unknown pixel mode, an unknown compression
            return None
    raise DataError("is not an image: expected PNG, JPEG or TIFF")


def _check(image: ImageFile) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"has {image.height} × {image.width} pixels: expected at most {MAX_PIXELS:,}"
        )
    if isinstance(image, JpegImageFile):
        return
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if getattr(image, "n_frames", 1) > 1 or tags.get(DEPTH, 1) > 1:
        raise DataError("contains several images: save each in a file of its own")
    if set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:  # 1: unsigned
        raise DataError(f"contains signed or floating-point values: {SAVE_AS}")


def _is_16_bit_colour(image: ImageFile) -> bool:
    """True for a TIFF that Pillow would silently cut to 8 bits."""
    if not isinstance(image, TiffImageFile) or image.mode.startswith("I"):
        return False
    return bool(max(image.tag_v2.get(BITS, (1,))) > 8)


def _png_depth(file: IO[bytes]) -> int:
    file.seek(24)  # signature 8, chunk head 8, width 4, height 4
    return file.read(1)[0]


def _orientation(image: ImageFile) -> int:
    """1 to 8, as EXIF numbers them; 1 where it is not given."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(ORIENTATION, 1))
    exif = PIL.Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return int(exif.get(ORIENTATION, 1))
    except Exception:  # damaged EXIF is ignored; the pixels are intact
        return 1


def grey_or_rgb(image: ImageFile) -> Pixels:
    """The loaded image as grey or RGB."""
    mode = image.mode
    if mode == "1":
        return np.array(image).astype(np.uint8) * np.uint8(255)
    if mode in ("L", "RGB"):
        return np.array(image)
    if mode.startswith("I;16"):
        pixels: NDArray[np.uint16] = np.array(image).astype(np.uint16, copy=False)
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
        return invert(pixels, tags[BITS][0]) if tags.get(PHOTOMETRIC) == 0 else pixels
    if mode in ("P", "PA"):
        has_alpha = mode == "PA" or "transparency" in image.info
        return composite_on_black(np.array(image.convert("RGBA" if has_alpha else "RGB")))
    if mode in ("LA", "RGBA"):
        return composite_on_black(np.array(image))
    if mode in ("RGBX", "RGBa", "La"):  # a small `a`: premultiplied by alpha
        return np.array(image)[..., :-1].squeeze()
    if mode in ("CMYK", "YCbCr"):
        return np.array(image.convert("RGB"))
    raise DataError(f"contains {'32-bit' if mode == 'I' else mode} values: {SAVE_AS}")


def _grey_if_equal(pixels: Pixels) -> Image:
    if pixels.ndim == 3:
        red, green, blue = np.moveaxis(pixels, 2, 0)
        pixels = red if np.array_equal(red, green) and np.array_equal(red, blue) else pixels
    return np.ascontiguousarray(pixels)
