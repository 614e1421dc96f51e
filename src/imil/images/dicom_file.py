"""DICOM files to data sets: the tags that are asked for, within a budget, and errors without text.

pydicom is loaded when the first file comes. Its errors and warnings may quote a header, so nothing
of them is passed on.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from imil.errors import DataError
from imil.images.budget import MAX_BYTES

INSTALL = "pip install 'imil[dicom]'"
DEFLATED = "1.2.840.10008.1.2.1.99"
MAX_FILE = MAX_BYTES + 64_000_000  # of a frame, and of what else a file holds
# what may name an image in a table, in the order in which a column is looked for
NAMED_BY = ("SOPInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID")


def read_tags(file: IO[bytes], tags: list[str] | None) -> Any:
    """The data set of a file with these tags alone; None: with all, which may name a patient.

    Raises: DataError: it cannot be read, or would take too much memory.
    """
    pydicom = _pydicom()
    size = os.fstat(file.fileno()).st_size
    if size > MAX_FILE:
        raise DataError(f"has {size / 1e6:.0f} MB: expected a DICOM file of one image")
    file.seek(0)
    with errors_without_text():
        source = _inflated(file, pydicom)
        return pydicom.dcmread(
            source,
            stop_before_pixels=tags is not None and "PixelData" not in tags,
            specific_tags=tags,
        )


def _inflated(file: IO[bytes], pydicom: Any) -> IO[bytes]:
    """The file itself, or its content where it is deflated: a small file may hold gigabytes."""
    pydicom.filereader.read_preamble(file, False)
    meta = pydicom.filereader._read_file_meta_info(file)  # pydicom 3; the public one takes a path
    if meta.get("TransferSyntaxUID") != DEFLATED:
        file.seek(0)
        return file
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    content = engine.decompress(file.read(), MAX_FILE)
    if not engine.eof:
        whole = engine.unconsumed_tail
        raise DataError(
            f"inflates to more than {MAX_FILE / 1e6:.0f} MB: expected an image of one frame"
            if whole
            else "is truncated: its deflated part has no end"
        )
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian  # which is what was deflated
    plain = io.BytesIO()
    plain.write(b"\0" * 128 + b"DICM")
    pydicom.filewriter.write_file_meta_info(plain, meta, enforce_standard=False)
    plain.write(content)
    plain.seek(0)
    return plain


def dicom_identity(file: IO[bytes]) -> dict[str, str]:
    """The values of `NAMED_BY`, to match a table and to keep patients together; "" where missing.

    They are not to be written anywhere. Raises: DataError: as `read_tags`.
    """
    dataset = read_tags(file, list(NAMED_BY))
    with errors_without_text():
        return {name: str(dataset.get(name) or "").strip() for name in NAMED_BY}


def dicom_frames(file: IO[bytes]) -> int:
    """How many frames a file says that it has. Raises: DataError: as `read_tags`."""
    dataset = read_tags(file, ["NumberOfFrames"])
    with errors_without_text():
        return max(1, int(dataset.get("NumberOfFrames") or 1))


def dicom_says_burned_in(file: IO[bytes]) -> bool:
    """Whether the header says that identifying text, or a face, is in the pixels.

    Raises: DataError: as `read_tags`.
    """
    tags = ["BurnedInAnnotation", "RecognizableVisualFeatures"]
    dataset = read_tags(file, tags)
    with errors_without_text():
        return any(str(dataset.get(name) or "").strip().upper() == "YES" for name in tags)


@contextmanager
def errors_without_text() -> Iterator[None]:
    """Any error of pydicom or a decoder as a DataError; its text may quote the header."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        raise DataError(f"is damaged or truncated ({type(error).__name__})") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of decoders in Rust, and no Exception
            raise
        raise DataError("is damaged or truncated") from None


def _pydicom() -> Any:
    try:
        import pydicom
        import pydicom.filereader
        import pydicom.filewriter
    except ImportError:
        raise DataError(f"is a DICOM file, and pydicom is not installed: {INSTALL}") from None
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    # its warnings quote the header
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    return pydicom
