"""Opening the file that a name belongs to; whatever is wrong with it is one sentence."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from imil.errors import DataError
from imil.images.file_kinds import LONGEST, kind_of
from imil.images.file_parts import FilePart, split_part
from imil.images.volumes import is_nifti

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
DICOM_MARK = b"DICM"  # after a preamble of 128 bytes


@contextmanager
def slice_named(path: str | os.PathLike[str]) -> Iterator[tuple[Path, FilePart] | None]:
    """The volume and the slices that a name means; None where it means no slice."""
    name, part = split_part(path)
    if part is None or part.kind == "frame":
        yield None
        return
    with data_errors(name):
        if not name.is_dir():
            _check_file(name)
        yield name, part


@contextmanager
def opened_file(path: str | os.PathLike[str]) -> Iterator[tuple[IO[bytes], FilePart | None]]:
    """The file that a name belongs to, open, and which of its images is meant."""
    name, part = split_part(path)
    with data_errors(name):
        _check_file(name)
        with name.open("rb") as file:
            yield file, part


@contextmanager
def data_errors(path: Path) -> Iterator[None]:
    """Turns every error that a file can cause into a DataError that names it."""
    try:
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


def kind_of_file(file: IO[bytes], part: FilePart | None = None) -> str:
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
    if is_nifti(file.name):
        raise DataError(
            "is a NIfTI volume: name a slice in a table, such as 'name.nii.gz#slice=40', or train "
            "on whole volumes with --image-depth"
        )
    raise DataError(f"is {kind_of(start) or 'not an image'}: expected PNG, JPEG, TIFF or DICOM")
