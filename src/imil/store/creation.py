"""A new store's file appears with its whole schema, or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imil.errors import StoreBusy, StoreError
from imil.permissions import file_mode

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEFT_OVER = 600.0  # seconds; a store is made in less than one


def create(path: Path, make: Callable[[Path], None]) -> None:
    """Make a store under another name and give it its own when it is complete.

    Where another process is faster, its store stays.

    Args:
        path: of the store, which does not exist.
        make: writes a complete store to the path that it is given.
    Raises: StoreError: the folder does not exist or cannot be written, or the disk is full.
    """
    with _os_errors(path), _unfinished(path) as half:
        make(half)
        _flush(half)
        with suppress(FileExistsError):
            _rename_new(half, path)
        _flush(path.parent)


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """An empty file beside the path, not readable by everybody, that is deleted afterwards."""
    prefix, suffix = f".{path.name}.", ".half"
    for left in path.parent.glob(f"{prefix}*{suffix}*"):  # by processes that were killed
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - LEFT_OVER:
                left.unlink()
    handle, name = tempfile.mkstemp(suffix, prefix, path.parent)
    os.close(handle)
    Path(name).chmod(file_mode())
    try:
        yield Path(name)
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(name + ending).unlink(missing_ok=True)


def _rename_new(half: Path, path: Path) -> None:
    """Raises: FileExistsError: another process has made it meanwhile."""
    try:
        os.link(half, path)
    except FileExistsError:
        raise
    except OSError:  # this file system has no hard links: claim the name, then replace it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, file_mode()))
        half.replace(path)


def _flush(path: Path) -> None:
    """Write a file, or the entries of a folder, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows does not open folders
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems do not flush folders
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            message = f"the store {path} cannot be made on a full disk: free some space"
            raise StoreBusy(message) from error
        raise StoreError(
            f"the store {path} cannot be opened ({error.strerror or error}): check that its folder "
            "exists and can be written"
        ) from error
