"""The first directory of a TIFF: what its samples are, before any of them is decoded."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Literal

from imil.errors import DataError

MOST_TAGS = 4096  # a directory has some 20
MOST_TEXT = 1 << 20  # bytes of a description that are looked at
# TIFF 6.0, section 2: type -> bytes of a value, and its code in `struct`
TYPES = {
    1: (1, "B"),
    2: (1, "s"),
    3: (2, "H"),
    4: (4, "I"),
    5: (8, ""),
    6: (1, "b"),
    7: (1, "B"),
    8: (2, "h"),
    9: (4, "i"),
    10: (8, ""),
    11: (4, "f"),
    12: (8, "d"),
    13: (4, "I"),
    16: (8, "Q"),
    17: (8, "q"),
    18: (8, "Q"),
}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
DESCRIPTION, OFFSETS, ORIENTATION, SAMPLES, ROWS = 270, 273, 274, 277, 278
SIZES, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 279, 284, 317, 320, 322, 323
TILE_OFFSETS, TILE_SIZES, EXTRA, FORMAT, DEPTH, STK_PLANES = 324, 325, 338, 339, 32997, 33629


@dataclass(frozen=True)
class TiffHeader:
    """The tags of the first directory.

    Args:
        order: `<` or `>`, as in `struct`.
        last: whether no other directory follows.
        entries: tag -> type, number of values, position of the values in the file.
        file: to read the values from.
    """

    order: Literal["<", ">"]
    last: bool
    entries: dict[int, tuple[int, int, int]]
    file: IO[bytes] = field(repr=False)

    def numbers(self, tag: int, default: Sequence[int] = (), *, most: int = 1 << 24) -> list[int]:
        """The values of a tag.

        Raises: DataError: they are no numbers, more than `most`, or lie outside the file.
        """
        if tag not in self.entries:
            return list(default)
        kind, count, at = self.entries[tag]
        size, code = TYPES.get(kind, (0, ""))
        if not code or code == "s" or count > most:
            raise DataError(f"is damaged: tag {tag} has {count} values of type {kind}")
        data = _read(self.file, at, size * count)
        return [int(value) for value in struct.unpack(f"{self.order}{count}{code}", data)]

    def number(self, tag: int, default: int | None = None) -> int:
        """The only value of a tag, or its default.

        Raises: DataError: it is missing, or there are several.
        """
        values = self.numbers(tag, () if default is None else (default,))
        if len(values) != 1:
            raise DataError(f"is damaged: tag {tag} has {len(values)} values, expected 1")
        return values[0]

    @property
    def bits(self) -> int:
        """Bits of a sample.

        Raises: DataError: samples differ in it.
        """
        bits = set(self.numbers(BITS, (1,), most=MOST_TAGS))
        if len(bits) != 1:
            raise DataError(f"has samples of {' and '.join(map(str, sorted(bits)))} bits")
        return bits.pop()

    @property
    def orientation(self) -> int:
        """1 to 8; 1 where none of them is given."""
        value = self.number(ORIENTATION, 1)
        return value if value in range(1, 9) else 1

    def frames(self) -> int:
        """The number of images that the file says it holds, in this directory or in others.

        ImageJ, tifffile, OME and MetaMorph write a stack as one directory and say so elsewhere.
        """
        if not self.last:
            return 2
        planes = self.entries[STK_PLANES][1] if STK_PLANES in self.entries else 1
        depth = self.numbers(DEPTH, (1,))[0]
        return max(planes, depth, self._described_frames())

    def _described_frames(self) -> int:
        _, count, at = self.entries.get(DESCRIPTION, (2, 0, 0))
        text = _read(self.file, at, min(count, MOST_TEXT)).decode("latin-1")
        if text.startswith(("ImageJ=", "SCIFIO=")):
            counts = re.findall(r"^(images|frames|slices|channels)=(\d{1,9})\s*$", text, re.M)
            return max([int(n) for name, n in counts if name == "images"], default=1)
        if "<OME" in text[:2000]:
            sizes = re.findall(r'\bSize[ZT]="(\d{1,9})"', text)
            return max(map(int, sizes), default=1)
        return _images_of_shape(text, self._samples_of_image())

    def _samples_of_image(self) -> int:
        return self.number(WIDTH) * self.number(HEIGHT) * self.number(SAMPLES, 1)


def read_header(file: IO[bytes]) -> TiffHeader:
    """The first directory of a TIFF or BigTIFF, of either byte order.

    Raises: DataError: it is damaged.
    """
    start = _read(file, 0, 8)
    order: Literal["<", ">"] = "<" if start[:2] == b"II" else ">"
    big = struct.unpack(f"{order}H", start[2:4])[0] == 43
    at = _one(file, 8, f"{order}Q") if big else _one(file, 4, f"{order}I")
    count_code, entry_code, inline = ("Q", "HHQ8s", 8) if big else ("H", "HHI4s", 4)
    count = _one(file, at, f"{order}{count_code}")
    if not 0 < count <= MOST_TAGS:
        raise DataError(f"is damaged: its directory has {count} entries")
    at += struct.calcsize(f"<{count_code}")
    size = struct.calcsize(f"<{entry_code}")
    data = _read(file, at, size * count)
    entries: dict[int, tuple[int, int, int]] = {}
    for i, (tag, kind, number, _) in enumerate(struct.iter_unpack(f"{order}{entry_code}", data)):
        position = at + size * (i + 1) - inline
        if number * TYPES.get(kind, (1, ""))[0] > inline:
            offset_code = "Q" if big else "I"
            position = _one(file, position, f"{order}{offset_code}")
        entries.setdefault(tag, (kind, number, position))
    following = _one(file, at + size * count, f"{order}{'Q' if big else 'I'}")
    return TiffHeader(order, not following, entries, file)


def _one(file: IO[bytes], at: int, code: str) -> int:
    value: int = struct.unpack(code, _read(file, at, struct.calcsize(code)))[0]
    return value


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(min(at, 1 << 62))
    data = file.read(size)
    if len(data) != size:
        raise DataError("is damaged or truncated: its directory lies outside the file")
    return data


def _images_of_shape(text: str, samples: int) -> int:
    """How often an image of so many samples fits the shape that tifffile wrote; 1 if none."""
    shape: object = ()
    if text.startswith("shape=("):
        shape = [int(n) for n in re.findall(r"\d{1,9}", text.split(")")[0])]
    elif text.startswith('{"shape":'):
        try:
            shape = json.loads(text.rstrip("\0"))["shape"]
        except (ValueError, RecursionError):
            return 1
    if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
        return 1
    return max(1, math.prod(shape) // max(samples, 1))
