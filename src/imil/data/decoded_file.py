"""One file of decoded images: `.npy` the pixels, `.json` what it is, `.part` half written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from imil.data.table import Table
from imil.errors import DataError
from imil.images.load import load_image
from imil.images.resize import REDUCING_GAP, resize_to_square
from imil.threads import in_order

Bad = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images at the training size.

    Args:
        array: read-only uint8 (M, S, S) or (M, S, S, 3), mapped from the file: the images that
            can be read, in the table's order.
        bad: key and sentence of each image that cannot be read, in the table's order.
        path: the file.
    """

    array: NDArray[np.uint8]
    bad: Bad
    path: Path


@dataclass(frozen=True, eq=False)
class Entry:
    """Where the images of a table lie at one size; `path` is the file of pixels."""

    table: Table
    size: int
    channels: int
    path: Path

    def read(self) -> Decoded | None:
        """What was decoded before; None if it is not there, incomplete, or no longer true."""
        try:
            rows = json.loads(self._description.read_text(encoding="utf-8"))["bad"]
            array = np.load(self.path, mmap_mode="r")
            bad = tuple((self.table.keys[i], fault(self.table.images[i])) for i in rows)
        except (OSError, ValueError, LookupError, TypeError, EOFError):
            return None
        # what can be read by now was not bad, but out of reach for a while
        is_true = all(sentence for _, sentence in bad)
        whole = self._shape(len(self.table) - len(bad))
        if not is_true or array.shape != whole or array.dtype != np.uint8:
            return None
        return Decoded(array, bad, self.path)

    def write(self, progress: Callable[[int], None], refuse: Callable[[Bad], None]) -> Decoded:
        """Decode every image into a new file, which takes its place when it is complete.

        Args:
            progress: is told how many images have been decoded.
            refuse: is given what cannot be read, and raises if that is too much.
        Raises: DataError: the disk has no room. OSError: it cannot be written. Either way, and
            if the process is interrupted, nothing half-made is left.
        """
        self._check_room()
        part = self.path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                self._head(file, len(self.table))
                bad = self._rows(file, progress)
                refuse(tuple((self.table.keys[i], sentence) for i, sentence in bad.items()))
                file.seek(0)
                self._head(file, len(self.table) - len(bad))
                _settle(file)
            self._describe(list(bad))
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        sentences = tuple((self.table.keys[i], sentence) for i, sentence in bad.items())
        return Decoded(np.load(self.path, mmap_mode="r"), sentences, self.path)

    @property
    def _description(self) -> Path:
        return self.path.with_suffix(".json")

    def _shape(self, images: int) -> tuple[int, ...]:
        one = (self.size, self.size)
        return (images, *one) if self.channels == 1 else (images, *one, self.channels)

    def _check_room(self) -> None:
        needed = int(np.prod(self._shape(len(self.table))))
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DataError(
                f"{len(self.table)} images at {self.size}×{self.size} need {needed / 1e6:.0f} MB "
                f"in '{self.path.parent}', where {free / 1e6:.0f} MB are free: "
                "free some, or name another folder with --cache"
            )

    def _head(self, file: IO[bytes], images: int) -> None:
        """The head of a .npy file; NumPy makes it equally long for any number of images."""
        shape = self._shape(images)
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )

    def _rows(self, file: IO[bytes], progress: Callable[[int], None]) -> dict[int, str]:
        """Write the images that can be read; row and sentence of those that cannot.

        Written, not mapped: on a full disk, writing to mapped memory ends the process.
        """
        bad: dict[int, str] = {}
        work = partial(_decoded, size=self.size, channels=self.channels)
        for i, image in enumerate(in_order(work, self.table.images)):
            if isinstance(image, str):
                bad[i] = image
            else:
                file.write(image.tobytes())
            progress(i + 1)
        return bad

    def _describe(self, bad: list[int]) -> None:
        what = {
            "size": self.size,
            "channels": self.channels,
            "images": len(self.table),
            "bad": bad,  # rows of the table, from 0
        }
        part = self.path.with_suffix(".json.part")
        try:
            with part.open("wb") as file:
                file.write(json.dumps(what).encode())
                _settle(file)
            part.replace(self._description)
        finally:
            part.unlink(missing_ok=True)


def fault(path: Path) -> str:
    """Why the image cannot be read, in a sentence; nothing if it can."""
    try:
        load_image(path)
    except DataError as error:
        return str(error)
    return ""


def _decoded(path: Path, size: int, channels: int) -> NDArray[np.uint8] | str:
    """The image at the training size, or why it cannot be read."""
    try:
        # what is averaged over boxes here need not be averaged over boxes there
        return resize_to_square(
            load_image(path, at_least=ceil(REDUCING_GAP * size)), size, channels
        )
    except DataError as error:
        return str(error)


def _settle(file: IO[bytes]) -> None:
    """On the disk, not only handed to the system."""
    file.flush()
    os.fsync(file.fileno())
