"""TIFF files written by hand, of every kind that the sweep of pixels reads (TIFF 6.0, BigTIFF)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GREY_WHITE_IS_0, GREY, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773
SHORT, LONG, LONG8 = 3, 4, 16
FORMATS = {2: "c", SHORT: "H", LONG: "I", 12: "d", LONG8: "Q"}


@dataclass(frozen=True)
class Tiff:
    """How the samples are written.

    Args:
        photometric: what the colours mean.
        bits: of a sample, from 1 to 16.
        extra: ExtraSamples, one number for each sample that is no colour; None: not written.
        separate: whether each sample has a plane of its own.
        order: `<` or `>`.
        compression: one of the above; deflate in either of its numbers.
        predictor: whether differences to the left neighbour are stored.
        tile: side of the tiles, in pixels; 0: strips.
        rows: rows of a strip; 0: all in one.
        big: BigTIFF.
        reversed_bits: FillOrder 2.
        orientation: 1 to 8.
        more: (tag, type, values) of further tags.
    """

    photometric: int = GREY
    bits: int = 8
    extra: tuple[int, ...] | None = ()
    separate: bool = False
    order: str = "<"
    compression: int = NONE
    predictor: bool = False
    tile: int = 0
    rows: int = 0
    big: bool = False
    reversed_bits: bool = False
    orientation: int = 1
    more: tuple[tuple[int, int, tuple[int, ...]], ...] = ()

    def encode(self, samples: np.ndarray) -> bytes:
        """The file, of unsigned samples (H, W, S) below 2**bits."""
        height, width, count = samples.shape
        planes = [samples[..., [i]] for i in range(count)] if self.separate else [samples]
        pieces = [self._piece(piece) for plane in planes for piece in self._cut(plane)]
        data = b"".join(pieces)
        head = 16 if self.big else 8
        offsets = [head + sum(map(len, pieces[:i])) for i in range(len(pieces))]
        pad = -len(data) % 8
        tags = [
            (256, LONG, (width,)),
            (257, LONG, (height,)),
            (258, SHORT, (self.bits,) * count),
            (259, SHORT, (self.compression,)),
            (262, SHORT, (self.photometric,)),
            (266, SHORT, (2 if self.reversed_bits else 1,)),
            (274, SHORT, (self.orientation,)),
            (277, SHORT, (count,)),
            (284, SHORT, (2 if self.separate else 1,)),
            (317, SHORT, (2 if self.predictor else 1,)),
            *self._layout_tags(height, offsets, pieces),
            *([(338, SHORT, self.extra)] if self.extra else []),
            *self.more,
        ]
        start = head + len(data) + pad
        return self._header(start) + data + b"\0" * pad + self._directory(sorted(tags), start)

    def _cut(self, plane: np.ndarray) -> list[np.ndarray]:
        height, width = plane.shape[:2]
        if not self.tile:
            rows = self.rows or height
            return [plane[i : i + rows] for i in range(0, height, rows)]
        side = self.tile
        padded = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)))
        return [
            padded[i : i + side, j : j + side]
            for i in range(0, height, side)
            for j in range(0, width, side)
        ]

    def _piece(self, samples: np.ndarray) -> bytes:
        """Rows of samples, packed and compressed."""
        if self.predictor:
            before = np.pad(samples, ((0, 0), (1, 0), (0, 0)))[:, :-1]
            samples = samples - before  # modulo 2**bits
        flat = samples.reshape(len(samples), -1)
        if self.bits == 16:
            packed = flat.astype(f"{self.order}u2").view(np.uint8)
        else:
            ones = (flat[..., None] >> np.arange(self.bits)[::-1]) & 1
            packed = np.packbits(ones.reshape(len(flat), -1).astype(bool), axis=1)
        rows = [row.tobytes() for row in packed]
        result = _compress(rows, self.compression)
        if self.reversed_bits:
            bits = np.unpackbits(np.frombuffer(result, np.uint8))
            result = np.packbits(bits.reshape(-1, 8)[:, ::-1]).tobytes()
        return result

    def _layout_tags(
        self, height: int, offsets: Sequence[int], pieces: Sequence[bytes]
    ) -> list[tuple[int, int, tuple[int, ...]]]:
        sizes = tuple(map(len, pieces))
        if self.tile:
            side = (self.tile,)
            place = [(322, SHORT, side), (323, SHORT, side), (324, LONG, tuple(offsets))]
            return [*place, (325, LONG, sizes)]
        rows = (self.rows or height,)
        return [(273, LONG, tuple(offsets)), (278, LONG, rows), (279, LONG, sizes)]

    def _header(self, start: int) -> bytes:
        mark = b"II" if self.order == "<" else b"MM"
        if self.big:
            return mark + struct.pack(f"{self.order}HHHQ", 43, 8, 0, start)
        return mark + struct.pack(f"{self.order}HI", 42, start)

    def _directory(self, tags: list[tuple[int, int, tuple[int, ...]]], start: int) -> bytes:
        count, entry, offset, inline = ("Q", "HHQ", "Q", 8) if self.big else ("H", "HHI", "I", 4)
        size = struct.calcsize(f"<{count}{offset}") + len(tags) * (
            struct.calcsize(f"<{entry}") + inline
        )
        entries, values = b"", b""
        for tag, kind, numbers in tags:
            value = struct.pack(f"{self.order}{len(numbers)}{FORMATS[kind]}", *numbers)
            if len(value) > inline:
                at = start + size + len(values)
                values += value + b"\0" * (-len(value) % 8)
                value = struct.pack(f"{self.order}{offset}", at)
            entries += struct.pack(f"{self.order}{entry}", tag, kind, len(numbers))
            entries += value.ljust(inline, b"\0")
        first = struct.pack(f"{self.order}{count}", len(tags))
        return first + entries + struct.pack(f"{self.order}{offset}", 0) + values


def _compress(rows: list[bytes], compression: int) -> bytes:
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.compress(b"".join(rows))
    if compression == PACKBITS:  # each row by itself, in literals of up to 128 bytes
        parts = [row[i : i + 128] for row in rows for i in range(0, len(row), 128)]
        return b"".join(bytes([len(part) - 1]) + part for part in parts)
    if compression == LZW:
        return _lzw(b"".join(rows))
    return b"".join(rows)


def _lzw(data: bytes) -> bytes:
    """Valid LZW that compresses nothing: the table is cleared before codes grow past 9 bits."""
    clear, end = 256, 257
    codes = [code for i in range(0, len(data), 200) for code in (clear, *data[i : i + 200])]
    text = "".join(f"{code:09b}" for code in (*codes, end))
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
