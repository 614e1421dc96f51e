"""Images decoded once to the training size, and then served from a file mapped into memory.

The file is named by the content of its originals and by the settings, appears complete or not
at all, and never changes. One process writes it, while others that want the same wait.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import filelock
import platformdirs

from imil.data.decoded_file import Bad, Decoded, Entry, fault
from imil.data.file_hashes import hash_files
from imil.data.table import Table
from imil.errors import DataError

FORMAT = 2  # to be raised when the same originals would decode to other pixels
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOG = logging.getLogger(__name__)
Progress = Callable[[int, int], None]


def cache_folder(given: Path | None) -> Path:
    """Where decoded images are kept: as given, as IMIL_CACHE says, or in the user's cache."""
    return given or Path(os.environ.get("IMIL_CACHE") or platformdirs.user_cache_path("imil"))


def decode(
    table: Table,
    *,
    size: int,
    channels: int = 1,
    folder: Path,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Decoded:
    """The table's images at S × S, from the cache if they are there.

    Memory: one original a thread (at most 8 threads), whatever their number and size. The
    result is mapped: N × S² bytes that the system may drop and read again.

    Args:
        size: S, in pixels; the aspect ratio is not kept.
        channels: 1 is grey, 3 is colour.
        folder: where decoded images are kept; it is made.
        skip_bad: leave out what cannot be read, and list it.
        progress: is told how many steps are done, and of how many. A step is a file to read
            whose content is not known yet, or an image to decode; where there is nothing to
            do, it is not called.
    Raises: DataError: images cannot be read (how many, and the first three), the disk is
        full, or the folder cannot be written.
    """
    tell = _nothing if progress is None else progress
    refuse = partial(_refuse, total=len(table), skip_bad=skip_bad)
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        hashes, read = hash_files(
            table.images, folder / "hashes.json", lambda done, of: tell(done, of + len(table))
        )
        refuse(_out_of_reach(table, hashes))
        entry = Entry(table, size, channels, folder / f"{_name(hashes, size, channels)}.npy")
        decoded = entry.read()
        if decoded is None:
            with _lock(entry.path):
                decoded = entry.read()  # whoever held the lock may have made it
                if decoded is None:
                    _remove_leftovers(folder, entry.path.stem)
                    decoded = entry.write(lambda done: tell(read + done, read + len(table)), refuse)
    if read:
        tell(read + len(table), read + len(table))
    refuse(decoded.bad)
    return decoded


def _name(hashes: Sequence[str], size: int, channels: int) -> str:
    settings = json.dumps([FORMAT, size, channels, *hashes])
    return hashlib.sha256(settings.encode()).hexdigest()[:32]


def _out_of_reach(table: Table, hashes: Sequence[str]) -> Bad:
    """Key and sentence of the files that could not even be hashed."""
    return tuple(
        (key, fault(path) or f"'{path}' could not be read")
        for key, path, found in zip(table.keys, table.images, hashes, strict=True)
        if not found
    )


def _refuse(bad: Bad, *, total: int, skip_bad: bool) -> None:
    first = "; ".join(sentence for _, sentence in bad[:3])
    if len(bad) == total:
        raise DataError(f"none of the {total} images can be read: {first}")
    if bad and not skip_bad:
        raise DataError(
            f"{len(bad)} of {total} images cannot be read: {first}; "
            "put them right, or go on without them with --skip-bad"
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process at a time; the system frees it when the process dies."""
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


def _remove_leftovers(folder: Path, mine: str) -> None:
    """What dead processes left half written; whoever is alive holds the lock of what he writes."""
    for part in folder.glob("*.part"):
        name = part.name.split(".")[0]
        if name == mine:
            part.unlink(missing_ok=True)
            continue
        with suppress(filelock.Timeout):
            with filelock.FileLock(folder / f"{name}.lock").acquire(timeout=0):
                part.unlink(missing_ok=True)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """What the disk refuses, in a sentence."""
    elsewhere = "name another folder with --cache"
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DataError(f"the disk of '{folder}' is full: free some, or {elsewhere}") from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise DataError(f"'{folder}' is no folder: {elsewhere}") from error
        why = error.strerror or error
        raise DataError(f"'{folder}' cannot be written ({why}): {elsewhere}") from error


def _nothing(done: int, total: int) -> None:
    pass
