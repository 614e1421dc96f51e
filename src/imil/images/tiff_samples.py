"""The samples of a TIFF, as stored, of 1 to 16 bits, without loss."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from imil.errors import DataError
from imil.images import tiff_header as tags
from imil.images.tiff_header import TiffHeader

NONE, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 8, 32946, 32773
BY_LIBTIFF = (5, 34925, 50000)  # LZW, LZMA, Zstandard
COMPRESSIONS = (NONE, DEFLATE, OLD_DEFLATE, PACKBITS, *BY_LIBTIFF)
DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16)
REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1])

Samples = NDArray[Any]  # uint8 or uint16, (H, W, S)


@dataclass(frozen=True)
class _Segments:
    """Strips or tiles of equal size, of which the last ones may be cut off.

    Args:
        height, width: of one, in pixels.
        samples: of a pixel in one: 1 where each sample has a plane of its own.
        offsets, sizes: of each, in bytes of the file.
        is_tile: whether those at the border are as large as the others.
    """

    height: int
    width: int
    samples: int
    offsets: list[int]
    sizes: list[int]
    is_tile: bool


def read_samples(file: IO[bytes], header: TiffHeader, max_bytes: int) -> Samples:
    """The samples of the first directory, (H, W, S); of less than 8 bits as small numbers.

    Args:
        file: the TIFF.
        header: of compression in `COMPRESSIONS` and bits in `DEPTHS`.
        max_bytes: of a decoded strip or tile.
    Raises: DataError: it is damaged or truncated.
    """
    height, width = header.number(tags.HEIGHT), header.number(tags.WIDTH)
    count = header.number(tags.SAMPLES, 1)
    segments = _segments(header, height, width, count)
    if segments.height * _row_bytes(segments, header.bits) > max_bytes:
        raise DataError(f"is damaged: it has tiles of {segments.height}×{segments.width} pixels")
    result = np.zeros((height, width, count), np.uint16 if header.bits > 8 else np.uint8)
    places = list(_places(height, width, count, segments))
    if not len(places) <= len(segments.offsets) == len(segments.sizes):
        raise DataError(f"is damaged: {len(places)} strips or tiles are not all listed")
    end = os.fstat(file.fileno()).st_size
    for (top, left, plane), at, size in zip(places, segments.offsets, segments.sizes, strict=False):
        if at + size > end or at < 0:
            raise DataError("is truncated: its last strips or tiles lie behind its end")
        rows = segments.height if segments.is_tile else min(segments.height, height - top)
        file.seek(at)
        piece = _decoded(file.read(size), header, segments, rows)
        inside = piece[: height - top, : width - left]
        to = slice(plane, plane + segments.samples)
        result[top : top + len(inside), left : left + inside.shape[1], to] = inside
    return result


def _segments(header: TiffHeader, height: int, width: int, count: int) -> _Segments:
    samples = 1 if header.number(tags.PLANAR, 1) == 2 else count
    if tags.TILE_WIDTH in header.entries:
        rows, cols = header.number(tags.TILE_HEIGHT), header.number(tags.TILE_WIDTH)
        lists = header.numbers(tags.TILE_OFFSETS), header.numbers(tags.TILE_SIZES)
        if not rows or not cols:
            raise DataError("is damaged: its tiles have no size")
        return _Segments(rows, cols, samples, *lists, True)
    rows = min(header.number(tags.ROWS, height) or height, height)
    offsets, sizes = header.numbers(tags.OFFSETS), header.numbers(tags.SIZES)
    strips = _Segments(rows, width, samples, offsets, sizes, False)
    if not sizes and len(offsets) == 1 and header.number(tags.COMPRESSION, 1) == NONE:
        sizes.append(height * _row_bytes(strips, header.bits))  # some writers leave it out
    return strips


def _places(
    height: int, width: int, count: int, segments: _Segments
) -> Iterator[tuple[int, int, int]]:
    """First row, column and sample of each strip or tile, in the order of the file."""
    for plane in range(0, count, segments.samples):
        for top in range(0, height, segments.height):
            for left in range(0, width, segments.width):
                yield top, left, plane


def _row_bytes(segments: _Segments, bits: int) -> int:
    return (segments.width * segments.samples * bits + 7) // 8


def _decoded(data: bytes, header: TiffHeader, segments: _Segments, rows: int) -> Samples:
    """The samples of a strip or tile of so many rows."""
    bits, row_bytes = header.bits, _row_bytes(segments, header.bits)
    if header.number(tags.FILL_ORDER, 1) == 2:
        data = REVERSED[np.frombuffer(data, np.uint8)].tobytes()
    data = _decompressed(data, header.number(tags.COMPRESSION, 1), rows, row_bytes)
    if len(data) < rows * row_bytes:
        raise DataError("is damaged or truncated: a strip or tile ends too early")
    packed = np.frombuffer(data, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    if bits == 16:
        values: Samples = packed.view(f"{header.order}u2").astype(np.uint16)
    elif bits == 8:
        values = packed
    else:
        per_row = segments.width * segments.samples
        ones = np.unpackbits(packed, axis=1)[:, : per_row * bits]
        ones = ones.reshape(rows, per_row, bits)
        if bits < 8:
            values = np.packbits(ones, axis=2)[..., 0] >> (8 - bits)
        else:
            values = ones @ (1 << np.arange(bits, dtype=np.uint16)[::-1])
    values = values.reshape(rows, segments.width, segments.samples)
    if header.number(tags.PREDICTOR, 1) == 2:
        values = np.cumsum(values, axis=1, dtype=values.dtype)
    return values


def _decompressed(data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """At most so many bytes: a small file may hold gigabytes."""
    size = rows * row_bytes
    if compression in (DEFLATE, OLD_DEFLATE):
        try:
            return zlib.decompressobj().decompress(data, size)
        except zlib.error as error:
            raise DataError(f"is damaged ({error})") from None
    if compression in BY_LIBTIFF:
        return _by_libtiff(data, compression, rows, row_bytes)
    return _unpacked(data, size) if compression == PACKBITS else data


def _by_libtiff(data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """The bytes, decoded as the rows of an 8-bit grey image, which Pillow never converts."""
    entries = {
        tags.WIDTH: row_bytes,
        tags.HEIGHT: rows,
        tags.BITS: 8,
        tags.COMPRESSION: compression,
        tags.PHOTOMETRIC: 1,
        tags.OFFSETS: 8,
        tags.SAMPLES: 1,
        tags.ROWS: rows,
        tags.SIZES: len(data),
    }
    file = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(entries))
    file += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    image = TiffImageFile(io.BytesIO(file + struct.pack("<I", 0)))
    try:
        image.load()
    except OSError as error:
        raise DataError(f"is damaged or truncated ({error})") from None
    return image.tobytes()


def _unpacked(data: bytes, size: int) -> bytes:
    """PackBits, TIFF 6.0 section 9."""
    parts, i, length = [], 0, 0
    while i + 1 < len(data) and length < size:
        head = data[i]
        if head < 128:
            part = data[i + 1 : i + 2 + head]
            i += 2 + head
        else:
            part = data[i + 1 : i + 2] * (257 - head if head > 128 else 0)
            i += 2 if head > 128 else 1
        parts.append(part)
        length += len(part)
    return b"".join(parts)
