"""Images decoded once to the training size, and then read from a file mapped into memory.

The file is named by the content of its originals and by the settings, is written completely or
not at all, and never changes. One process writes it, while others that need the same wait.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import filelock
import platformdirs

from imil.data.decoded_file import DecodedFile, DecodedImages, Unreadable, read_error
from imil.data.file_hashes import hash_files
from imil.data.table import Table
from imil.errors import DataError
from imil.permissions import folder_mode

FORMAT = 3  # to be increased when the same originals decode to other pixels
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOG = logging.getLogger(__name__)
Progress = Callable[[int, int], None]


def cache_folder(path: Path | None) -> Path:
    """The folder of decoded images: this one, IMIL_CACHE, or the user's cache folder."""
    return path or Path(os.environ.get("IMIL_CACHE") or platformdirs.user_cache_path("imil"))


def decode_images(
    table: Table,
    *,
    size: int,
    channels: int = 1,
    depth: int = 1,
    folder: Path,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> DecodedImages:
    """The table's images at S × S, from the cache if they are in it.

    Memory: one original per thread (at most 8 threads), whatever their number and size. The
    result is memory-mapped: N × S² bytes that the system may drop and read again.

    Args:
        size: S, in pixels; the aspect ratio is not kept.
        channels: 1 is grey, 3 is colour.
        depth: above 1, the images are volumes, which become depth × S × S.
        folder: of the cache; it is created.
        skip_bad: leave out images that cannot be read, and list them.
        progress: is called with the number of steps done, and of all steps. A step is a file to
            hash or an image to decode; where there is nothing to do, it is not called.
    Raises: DataError: images cannot be read (how many, and the first three), the disk is
        full, or the folder cannot be written.
    """
    report = _no_progress if progress is None else progress
    check = partial(_check_unreadable, total=len(table), skip_bad=skip_bad)
    with _disk_errors(folder):
        folder.mkdir(folder_mode(), parents=True, exist_ok=True)
        hashes, read = hash_files(
            table.images, folder / "hashes.json", lambda done, all_: report(done, all_ + len(table))
        )
        check(_unreadable_files(table, hashes, depth))
        path = folder / f"{_name(hashes, size, channels, depth)}.npy"
        file = DecodedFile(table, size, channels, path, tuple(hashes), depth)
        decoded = file.read()
        if decoded is None:
            with _lock(file.path):
                decoded = file.read()  # another process may have written it
                if decoded is None:
                    _remove_unfinished(folder, file.path.stem)
                    decoded = file.write(lambda done: report(read + done, read + len(table)), check)
    if read:
        report(read + len(table), read + len(table))
    check(decoded.bad)
    bad = {key for key, _ in decoded.bad}
    kept = (digest for key, digest in zip(table.keys, hashes, strict=True) if key not in bad)
    return replace(decoded, contents=tuple(kept))


def _name(hashes: Sequence[str], size: int, channels: int, depth: int) -> str:
    slices = [f"{depth} slices"] if depth > 1 else []
    settings = json.dumps([FORMAT, size, channels, *slices, *hashes])
    return hashlib.sha256(settings.encode()).hexdigest()[:32]


def _unreadable_files(table: Table, hashes: Sequence[str], depth: int) -> Unreadable:
    """Key and error message of the files that could not be hashed."""
    return tuple(
        (key, read_error(path, depth) or f"'{path}' could not be read")
        for key, path, digest in zip(table.keys, table.images, hashes, strict=True)
        if not digest
    )


def _check_unreadable(bad: Unreadable, *, total: int, skip_bad: bool) -> None:
    first = "; ".join(message for _, message in bad[:3])
    if len(bad) == total:
        raise DataError(f"none of the {total} images can be read: {first}")
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {total} images cannot be read: {first}; "
            "repair them, or leave them out with --skip-bad"
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that one process has at a time; the system releases it when the process dies."""
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        LOG.warning("another run is decoding the same images: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_unfinished(folder: Path, locked: str) -> None:
    """Delete unfinished files of dead processes; a live one holds the lock of its file."""
    for part in folder.glob("*.part"):
        name = part.name.split(".")[0]
        if name == locked:  # by this process
            part.unlink(missing_ok=True)
            continue
        with suppress(filelock.Timeout):
            with filelock.FileLock(folder / f"{name}.lock").acquire(timeout=0):
                part.unlink(missing_ok=True)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk into one sentence."""
    remedy = "name another folder with --cache"
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DataError(f"the disk of '{folder}' is full: free space, or {remedy}") from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise DataError(f"'{folder}' is not a folder: {remedy}") from error
        reason = error.strerror or error
        raise DataError(f"'{folder}' cannot be written ({reason}): {remedy}") from error


def _no_progress(done: int, total: int) -> None:
    pass
