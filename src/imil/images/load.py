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
from typing import IO, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from imil.cases import Image
from imil.errors import DataError
from imil.geometry import NOT_STATED, Geometry
from imil.images import tiff_header as tiff_tags
from imil.images.budget import MAX_PIXELS
from imil.images.file_kinds import LONGEST, kind_of
from imil.images.file_parts import FilePart, split_part
from imil.images.jpeg import load_jpeg, rgb_or_grey
from imil.images.mask import selected_pixels, selected_pixels_of_jpeg
from imil.images.pixel_operations import Pixels, apply_orientation
from imil.images.png import load_png, open_png
from imil.images.tiff import checked_header, read_tiff

__all__ = [
    "DICOM_MARK",
    "MAX_PIXELS",
    "SUFFIXES",
    "check_end",
    "dicom_identity_of",
    "frame_names",
    "image_geometry",
    "image_size",
    "load_image",
    "load_mask",
    "opened_dicom",
    "says_burned_in",
]

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
DICOM_MARK = b"DICM"  # after a preamble of 128 bytes
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
            several frames, with the frame, as `us.dcm#frame=1`; of NIfTI volumes, with the slice
            or three neighbours, as `ct.nii.gz#slice=40` and `ct.nii.gz#slices=39-41`.
        at_least: minimum length of either side, in pixels. A JPEG may then be decoded at a half,
            a quarter or an eighth of its size, averaged over boxes, in a fraction of the time.
    Raises: DataError: the file does not exist, is damaged, or is not such an image.
    """
    with _opened(path) as (file, part):
        return _load(file, part, at_least)


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """True where the mask selects, (H, W): where it is not black; see `imil.images.mask`.

    Raises: DataError: as `load_image`, or it cannot be known what the mask selects.
    """
    with _opened(path) as (file, part):
        pixels = _load(file, part, None)
        select = selected_pixels_of_jpeg if _kind(file, part) == "JPEG" else selected_pixels
        return select(pixels)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of the image that `load_image` returns, from the header alone.

    Raises: DataError: the file does not exist, or its header says that it cannot be read.
    """
    with _opened(path) as (file, part):
        kind = _kind(file, part)
        if kind == "DICOM":
            from imil.images.dicom import dicom_size

            return dicom_size(file, part)
        if kind == "NIfTI" and part is not None:
            from imil.images.nifti_volume import slice_size

            return slice_size(Path(file.name), part)
        if kind == "TIFF":
            header = checked_header(file)
            height, width = header.number(tiff_tags.HEIGHT), header.number(tiff_tags.WIDTH)
            orientation = header.orientation
        else:
            image = open_png(file) if kind == "PNG" else JpegImageFile(file)
            (width, height), orientation = image.size, _orientation(image)
        return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def dicom_identity_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """The UIDs and numbers that name a DICOM file (`NAMED_BY`); not to be written anywhere.

    Raises: DataError: it cannot be read.
    """
    with _opened(path) as (file, _):
        from imil.images.dicom_file import dicom_identity

        return dicom_identity(file)


def frame_names(path: Path) -> list[Path]:
    """The name of each image of a DICOM file: its own, or one for each of several frames.

    Raises: DataError: it cannot be read.
    """
    with _opened(path) as (file, _):
        from imil.images.dicom_file import dicom_frames

        count = dicom_frames(file)
    if count == 1:
        return [path]
    return [path.with_name(f"{path.name}#frame={n}") for n in range(1, count + 1)]


@contextmanager
def opened_dicom(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The whole data set of a DICOM file, which may name a patient.

    What goes wrong with it within the block becomes a DataError that names the file and quotes
    nothing of it.

    Raises: DataError: it is not a DICOM file, or cannot be read.
    """
    with _opened(path) as (file, part):
        if _kind(file, part) != "DICOM":
            raise DataError("is not a DICOM file: expected one")
        from imil.images.dicom_file import errors_without_text, read_tags

        with errors_without_text():
            yield read_tags(file, None)


def says_burned_in(path: str | os.PathLike[str]) -> bool:
    """Whether a file's header says that its pixels have text or show a face: DICOM alone may.

    Raises: DataError: it cannot be read.
    """
    with _opened(path) as (file, part):
        if _kind(file, part) != "DICOM":
            return False
        from imil.images.dicom_file import dicom_says_burned_in

        return dicom_says_burned_in(file)


def image_geometry(path: str | os.PathLike[str]) -> Geometry:
    """Size of a pixel, laterality and directions, where the file states them: DICOM and NIfTI do.

    Raises: DataError: as `image_size`.
    """
    with _opened(path) as (file, part):
        kind = _kind(file, part)
        if kind == "NIfTI" and part is not None:
            from imil.images.nifti_volume import slice_geometry

            return slice_geometry(Path(file.name), part)
        if kind != "DICOM":
            return NOT_STATED
        from imil.images.dicom import dicom_geometry

        return dicom_geometry(file, part)


def check_end(path: str | os.PathLike[str]) -> None:
    """Check that a file is complete; a PNG or JPEG without its end marker is decoded to find out.

    Raises: DataError: it is truncated.
    """
    with _opened(path) as (file, _):
        file.seek(-min(len(PNG_END), os.fstat(file.fileno()).st_size), os.SEEK_END)
        if file.read().endswith((PNG_END, JPEG_END)):
            return
    load_image(path)


def _load(file: IO[bytes], part: FilePart | None, at_least: int | None) -> Image:
    kind = _kind(file, part)
    if kind == "NIfTI" and part is not None:
        from imil.images.nifti_volume import load_slice

        return load_slice(Path(file.name), part)
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


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[IO[bytes], FilePart | None]]:
    """The file that a name belongs to, open, and which of its images is meant."""
    name, part = split_part(path)
    with _data_errors(name), name.open("rb") as file:
        yield file, part


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


def _kind(file: IO[bytes], part: FilePart | None = None) -> str:
    """PNG, JPEG, TIFF or DICOM, by the first bytes and not by the name.

    Raises: DataError: another format, or one that has no parts where one is meant.

    The plug-ins are then called directly: `PIL.Image.open` tries other formats too, and warns of
    large images through the global state of the warnings module.
    """
    file.seek(0)
    start = file.read(LONGEST)
    file.seek(0)
    if start[128:132] == DICOM_MARK:  # first: its preamble may be the start of a TIFF
        return "DICOM"
    if part is not None and part.kind != "frame" and _is_nifti(file.name):
        return "NIfTI"
    if part is not None:
        raise DataError(
            f"has no '{part}': DICOM files have frames and NIfTI volumes have slices; name the "
            "file alone"
        )
    if start.startswith(PNG_START):
        return "PNG"
    if start.startswith(JPEG_START):
        return "JPEG"
    if start.startswith(TIFF_STARTS):
        return "TIFF"
    if _is_nifti(file.name):
        raise DataError(
            "is a NIfTI volume: name a slice in a table, such as 'name.nii.gz#slice=40'"
        )
    raise DataError(f"is {kind_of(start) or 'not an image'}: expected PNG, JPEG, TIFF or DICOM")


def _is_nifti(name: str) -> bool:
    return name.lower().endswith((".nii", ".nii.gz"))


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
