"""Whether a DICOM file has a whole frame of the size that its header says, before it is decoded.

Several libraries decode a JPEG that was cut off without a word, and take its size from the JPEG.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from imil.errors import DataError

RLE = "1.2.840.10008.1.2.5"
J2K_START, JP2_START, JPEG_START, END = b"\xff\x4f", b"\0\0\0\x0cjP", b"\xff\xd8", b"\xff\xd9"
SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers of a frame's size in a JPEG


def check_frame(dataset: Any, height: int, width: int, index: int = 0) -> None:
    """Check that a frame is there and whole.

    Args:
        index: of the frame, from 0.
    Raises: DataError: it is missing, truncated, or of another size.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    data = dataset.get("PixelData")
    if not data:
        raise DataError("has no pixels of whole numbers: expected 8 or 16 bits")
    if not dataset.file_meta.TransferSyntaxUID.is_compressed:
        _check_native(dataset, len(data), height, width, frames)
        return
    from pydicom.encaps import get_frame

    frame = get_frame(data, index, number_of_frames=frames)
    if dataset.file_meta.TransferSyntaxUID == RLE:
        _check_rle(frame)
        return
    if not frame.rstrip(b"\0\xff").endswith(END):  # some writers pad with 0xff
        raise DataError("is truncated: its compressed image has no end marker")
    if frame.startswith(JPEG_START):
        size, bits = _jpeg_size(frame)
        if bits > int(dataset.BitsAllocated):
            raise DataError(
                f"is damaged: its compressed image has {bits} bits, its header says "
                f"{dataset.BitsAllocated}"
            )
    else:
        start = frame.find(J2K_START + b"\xff\x51")
        if not frame.startswith((J2K_START, JP2_START)) or start < 0:
            raise DataError("is damaged: its compressed image is neither JPEG nor JPEG 2000")
        size = _j2k_size(frame, start)
    if size != (height, width):
        raise DataError(
            f"is damaged: its compressed image has {size[0]} × {size[1]} pixels, its header says "
            f"{height} × {width}"
        )


def _check_native(dataset: Any, length: int, height: int, width: int, frames: int) -> None:
    samples = int(dataset.SamplesPerPixel)
    expected = height * width * samples * int(dataset.BitsAllocated) // 8
    if str(dataset.PhotometricInterpretation) == "YBR_FULL_422":
        expected = expected * 2 // 3
    expected *= frames
    if length < expected:
        raise DataError(f"is truncated: it has {length} bytes of pixels, expected {expected}")


def _check_rle(frame: bytes) -> None:
    """PS3.5 annex G: the number of segments, and where each begins."""
    numbers = [int.from_bytes(frame[i : i + 4], "little") for i in range(0, 64, 4)]
    segments, starts = numbers[0], numbers[1 : 1 + numbers[0]]
    rising = all(one < other for one, other in pairwise(starts))
    if not 1 <= segments <= 15 or not rising or starts[0] < 64 or starts[-1] >= len(frame):
        raise DataError("is truncated or damaged: its run lengths are not all there")


def _jpeg_size(frame: bytes) -> tuple[tuple[int, int], int]:
    """Height and width, and the bits of a sample."""
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            break
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in SIZES:
            sides = frame[at + 5 : at + 7], frame[at + 7 : at + 9]
            height, width = (int.from_bytes(side, "big") for side in sides)
            return (height, width), frame[at + 4]
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise DataError("is damaged: its JPEG does not say its size")


def _j2k_size(frame: bytes, start: int) -> tuple[int, int]:
    """Of the SIZ segment: what lies between the image's offset and its end."""
    numbers = [int.from_bytes(frame[i : i + 4], "big") for i in range(start + 8, start + 24, 4)]
    right, bottom, left, top = numbers
    return bottom - top, right - left
