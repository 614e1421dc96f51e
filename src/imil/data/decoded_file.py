"""A file of decoded images: `.npy` the pixels, `.json` their description, `.part` unfinished."""

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
from imil.images.whole_volumes import load_whole_volume, resize_volume
from imil.json_files import read_json
from imil.threads import in_order

Unreadable = tuple[tuple[str, str], ...]  # key and error message of each image


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Images at the training size.

    Args:
        array: read-only uint8 (M, S, S) or (M, S, S, 3), of volumes (M, D, S, S, 1), mapped from
            the file: the images that can be read, in the table's order.
        bad: key and error message of each image that cannot be read, in the table's order.
        path: the file.
        contents: M SHA-256 of the originals; empty where they are not known.
    """

    array: NDArray[np.uint8]
    bad: Unreadable
    path: Path
    contents: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """The file of a table's images at one size; `path` is that of the pixels.

    `contents` are the hashes of the originals, by which the pixels of a run are found again.
    """

    table: Table
    size: int
    channels: int
    path: Path
    contents: tuple[str, ...] = ()
    depth: int = 1

    def read(self) -> DecodedImages | None:
        """The images that were decoded before; None if missing, incomplete or out of date."""
        try:
            rows = read_json(self._description, "it is made anew")["bad"]
            array = np.load(self.path, mmap_mode="r")
            bad = tuple(
                (self.table.keys[i], read_error(self.table.images[i], self.depth)) for i in rows
            )
        except (OSError, DataError, ValueError, LookupError, TypeError, EOFError):
            return None
        # an image that can be read now was only unavailable for a while
        still_unreadable = all(message for _, message in bad)
        shape = self._shape(len(self.table) - len(bad))
        if not still_unreadable or array.shape != shape or array.dtype != np.uint8:
            return None
        return DecodedImages(array, bad, self.path)

    def write(
        self, progress: Callable[[int], None], check: Callable[[Unreadable], None]
    ) -> DecodedImages:
        """Decode every image into a new file, which replaces the old one when it is complete.

        Args:
            progress: is called with the number of images decoded so far.
            check: is called with the unreadable images, and raises if there are too many.
        Raises: DataError: not enough disk space. OSError: it cannot be written. Either way, and
            if the process is interrupted, no unfinished file is left.
        """
        self._check_disk_space()
        part = self.path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                self._write_header(file, len(self.table))
                bad = self._write_images(file, progress)
                unreadable = tuple((self.table.keys[i], message) for i, message in bad.items())
                check(unreadable)
                file.seek(0)
                self._write_header(file, len(self.table) - len(bad))
                _flush_to_disk(file)
            self._write_description(list(bad))
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        return DecodedImages(np.load(self.path, mmap_mode="r"), unreadable, self.path)

    @property
    def _description(self) -> Path:
        return self.path.with_suffix(".json")

    def _shape(self, images: int) -> tuple[int, ...]:
        shape = (images, self.size, self.size)
        if self.depth > 1:
            return (images, self.depth, self.size, self.size, 1)
        return shape if self.channels == 1 else (*shape, self.channels)

    def _check_disk_space(self) -> None:
        needed = int(np.prod(self._shape(len(self.table))))
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DataError(
                f"{len(self.table)} images at {self.size}×{self.size} need {needed / 1e6:.0f} MB "
                f"in '{self.path.parent}', where {free / 1e6:.0f} MB are free: "
                "free some space, or name another folder with --cache"
            )

    def _write_header(self, file: IO[bytes], images: int) -> None:
        """Write the header of a .npy file; NumPy makes it equally long for any number of images."""
        shape = self._shape(images)
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )

    def _write_images(self, file: IO[bytes], progress: Callable[[int], None]) -> dict[int, str]:
        """Write the images that can be read; returns row and error message of the others.

        Not through a memory map: on a full disk, writing to mapped memory kills the process.
        """
        bad: dict[int, str] = {}
        decode = partial(decode_image, size=self.size, channels=self.channels)
        if self.depth > 1:
            decode = partial(decode_volume, depth=self.depth, size=self.size)
        for i, image in enumerate(in_order(decode, self.table.images)):
            if isinstance(image, str):
                bad[i] = image
            else:
                file.write(image.tobytes())
            progress(i + 1)
        return bad

    def _write_description(self, bad: list[int]) -> None:
        description = {
            "size": self.size,
            "channels": self.channels,
            "images": len(self.table),
            "bad": bad,  # rows of the table, from 0
            "contents": self.contents,
        }
        part = self.path.with_suffix(".json.part")
        try:
            with part.open("wb") as file:
                file.write(json.dumps(description).encode())
                _flush_to_disk(file)
            part.replace(self._description)
        finally:
            part.unlink(missing_ok=True)


def read_error(path: Path, depth: int = 1) -> str:
    """Why the image cannot be read, in a sentence; empty if it can.

    Args:
        depth: above 1, it is to be a volume.
    """
    try:
        load_whole_volume(path) if depth > 1 else load_image(path)
    except DataError as error:
        return str(error)
    return ""


def decode_image(path: Path, size: int, channels: int) -> NDArray[np.uint8] | str:
    """The image at the training size, or the error message if it cannot be read."""
    try:
        # the loader may reduce the image by averaging boxes of pixels, as `resize_to_square` would
        return resize_to_square(
            load_image(path, at_least=ceil(REDUCING_GAP * size)), size, channels
        )
    except DataError as error:
        return str(error)


def decode_volume(path: Path, depth: int, size: int) -> NDArray[np.uint8] | str:
    """The volume at the training size, or the error message if it cannot be read."""
    try:
        return resize_volume(load_whole_volume(path), depth, size)
    except DataError as error:
        return str(error)


def _flush_to_disk(file: IO[bytes]) -> None:
    """Write the file to the disk, not only to the system's buffers."""
    file.flush()
    os.fsync(file.fileno())
