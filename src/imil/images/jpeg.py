"""JPEG files: what their markers say, and whether the pixels of a closed file are all there.

A decoder fills in what is missing, and says nothing: with grey where the first pass over the image
ends too early, with a blurred image where a later pass of a progressive file is missing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from imil.errors import DataError
from imil.images.budget import MAX_SCANNED, MAX_SCANS, check_budget, decoding
from imil.images.pixel_operations import Pixels

END = b"\xff\xd9"
# ITU-T T.81, table B.1: start of frame -> the process, of those that are decoded
BASELINE, PROGRESSIVE, ARITHMETIC = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA), (0xC9, 0xCA)
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
PROCESSES = {0xC3: "lossless JPEG", 0xCB: "lossless JPEG", 0xF7: "JPEG-LS"}
SCAN, STANDALONE = 0xDA, (0x01, *range(0xD0, 0xD9))
EMPTY = 128  # what a block without data is decoded to
NEARLY = 8  # grey levels, by which colours beside it may change it
FILLINGS, FILLING_BYTES = (b"\x55", b"\xb2"), 4096  # more than a block can take
RESTARTS = tuple(bytes([0xFF, 0xD0 + i]) for i in range(8))
MAX_FILE = 500_000_000  # bytes
SAVE_AS = "save it as a JPEG of 8 bits, or as PNG or TIFF"


@dataclass(frozen=True)
class JpegHeader:
    """The frame and the scans of a JPEG.

    Args:
        process: the marker of the frame, such as 0xC0.
        height, width: in pixels.
        components: their identifiers.
        scans: of each the components, first and last coefficient, and the bit down to which they
            are known.
        end: where the last scan's data ends, in bytes.
        is_closed: whether the end marker follows there.
    """

    process: int
    height: int
    width: int
    components: tuple[int, ...]
    scans: tuple[tuple[tuple[int, ...], int, int, int], ...]
    end: int
    is_closed: bool

    @property
    def size(self) -> int:
        """Bytes of the decoded samples; a progressive decoder also keeps all coefficients."""
        kept = 2 if len(self.scans) > 1 else 0
        return self.height * self.width * len(self.components) * (1 + kept)

    def lacks_scans(self) -> bool:
        """Whether a coefficient of a component is in no scan, or not down to its last bit."""
        for component in self.components:
            known = np.zeros(64, bool)
            for components, first, last, low in self.scans:
                if component in components and low == 0:
                    known[first : last + 1] = True
            if not known.all():
                return True
        return False


def read_jpeg_header(data: bytes) -> JpegHeader:
    """The markers of a JPEG file.

    Raises: DataError: it is damaged, of a kind that cannot be decoded, or asks for too much memory
        or time.
    """
    frame, scans, end, is_closed = None, [], len(data), False
    for marker, at, segment in _segments(data):
        if marker in FRAMES and frame is None:
            frame = _frame(marker, segment)
        elif marker == SCAN:
            if frame is None:
                raise DataError("is damaged: a scan comes before the frame")
            scans.append(_scan(segment, marker=frame[0]))
            if len(scans) > MAX_SCANS:
                raise DataError(f"has more than {MAX_SCANS} scans: {SAVE_AS}")
            end = at
        elif marker == END[1]:
            end, is_closed = at, True
    if frame is None or not scans:
        raise DataError("is damaged or truncated: it has no image data")
    header = JpegHeader(*frame, tuple(scans), end, is_closed)
    check_budget(header.height, header.width, header.size // (header.height * header.width or 1))
    if header.height * header.width * len(scans) > MAX_SCANNED:
        raise DataError(f"has {len(scans)} scans of {header.height} × {header.width}: {SAVE_AS}")
    return header


def load_jpeg(file: IO[bytes], at_least: int | None = None) -> JpegImageFile:
    """The decoded image, complete but for at most its last block (of 16×16 pixels).

    Args:
        file: a JPEG.
        at_least: minimum length of either side, in pixels, as for `load_image`.
    Raises: DataError: it was cut short, or as `read_jpeg_header`.
    """
    if os.fstat(file.fileno()).st_size > MAX_FILE:
        raise DataError(f"is larger than {MAX_FILE / 1e6:.0f} MB")
    file.seek(0)
    data = file.read()
    header = read_jpeg_header(data)
    if header.lacks_scans():
        raise DataError("is truncated: its last scans are missing")
    with decoding(header.size):
        image = _decoded(data, at_least)
        if header.is_closed and _may_be_cut(header, np.asarray(image)):
            _check_complete(data, header)
    return image


def _check_complete(data: bytes, header: JpegHeader) -> None:
    """Check that the image is the same with other bytes behind the last scan.

    What is complete looks the same; what was filled in changes.

    Raises: DataError: it was cut short.
    """
    pixels = _decoded(data, None).tobytes()
    scans = data[: header.end].rstrip(b"\xff")  # half of a marker, where it was cut there
    for filling in FILLINGS:
        # the decoder may wait for the next restart marker, whichever it is
        part = filling * FILLING_BYTES
        longer = scans + part + b"".join(marker + part for marker in 2 * RESTARTS) + END
        if _decoded(longer, None).tobytes() != pixels:
            raise DataError("is truncated: its data ends before the image does")


def rgb_or_grey(image: JpegImageFile) -> Pixels:
    """The decoded image as uint8 (H, W) or (H, W, 3)."""
    return np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def _decoded(data: bytes, at_least: int | None) -> JpegImageFile:
    image = JpegImageFile(io.BytesIO(data))
    if at_least is not None:
        image.draft(image.mode, (at_least, at_least))
    image.load()
    return image


def _may_be_cut(header: JpegHeader, pixels: Pixels) -> bool:
    """Whether the last pixels may be filled in; of one scan, then the last block is grey."""
    if len(header.scans) > 1 or header.process in ARITHMETIC:
        return True
    return bool((np.abs(pixels[-1, -1].astype(int) - EMPTY) <= NEARLY).all())


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, position and content of each segment; of a scan, the end of the data behind it."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == END[1]:
            yield marker, at, b""
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)
        if marker == SCAN:
            at = _end_of_scan(data, at)
        yield marker, at, segment


def _end_of_scan(data: bytes, at: int) -> int:
    """Where a marker follows that is no restart and no stuffed byte; or the end of the data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] == 0xFF:
            at += 1
        elif data[at + 1] == 0x00 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        else:
            return at


def _frame(marker: int, segment: bytes) -> tuple[int, int, int, tuple[int, ...]]:
    """Process, height, width and components."""
    if marker in PROCESSES:
        raise DataError(f"is a {PROCESSES[marker]}: {SAVE_AS}")
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise DataError("is damaged: its frame is too short")
    if segment[0] != 8:
        raise DataError(f"is a {segment[0]}-bit JPEG: {SAVE_AS}")
    if marker not in (*BASELINE, *PROGRESSIVE):
        raise DataError(f"is a hierarchical JPEG: {SAVE_AS}")
    height, width = (int.from_bytes(segment[i : i + 2], "big") for i in (1, 3))
    if not height:
        raise DataError(f"is a JPEG that tells its height at its end only: {SAVE_AS}")
    components = tuple(segment[6 + 3 * i] for i in range(segment[5]))
    return marker, height, width, components


def _scan(segment: bytes, marker: int) -> tuple[tuple[int, ...], int, int, int]:
    """Components, first and last coefficient, and the lowest bit."""
    count = segment[0] if segment else 0
    if len(segment) < 4 + 2 * count:
        raise DataError("is damaged: a scan is too short")
    components = tuple(segment[1 + 2 * i] for i in range(count))
    if marker not in PROGRESSIVE:
        return components, 0, 63, 0
    first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
    return components, first, last, bits & 15
