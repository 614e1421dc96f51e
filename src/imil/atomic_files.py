"""Files that are written whole or not at all, and folders locked against other processes."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from imil.errors import DataError, SettingsError
from imil.output_text import csv_cell, write_csv
from imil.permissions import folder_mode

if TYPE_CHECKING:
    import pandas as pd

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path, busy: str) -> Iterator[None]:
    """Create the folder, and lock it against other processes.

    Args:
        busy: the error message where another process holds the lock.
    Raises: SettingsError, DataError: another process has it, or it cannot be written.
    """
    with os_errors_as_sentences(folder):
        folder.mkdir(folder_mode(), parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise SettingsError(busy) from None
        except (NotImplementedError, OSError) as error:  # filelock raises the first on ENOSYS
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            raise DataError(
                f"{folder} is on a file system without file locks, as NFS may be: give an --out on "
                "a local disk, or mount it with locks (NFS 4, or lockd for NFS 3)"
            ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder's lock, as far as can be known."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except (Timeout, OSError, NotImplementedError):  # a read-only folder may be locked
        return True


@contextmanager
def os_errors_as_sentences(path: Path) -> Iterator[None]:
    """Turn an `OSError` about files into a `DataError` with a remedy."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise DataError(
            f"{where} cannot be written ({error.strerror or error}): check permissions and free "
            "space; nothing that was stored is lost"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path whose file replaces `path` at once, or not at all."""
    with os_errors_as_sentences(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.half")
        try:
            yield half
            with half.open("rb+") as written:
                os.fsync(written.fileno())
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def link_or_copy(path: Path, name: Path) -> None:
    """Hard-link the file to a second name, or copy it where the file system has no hard links."""
    with atomic_write(name) as half:
        half.unlink(missing_ok=True)  # left by a killed process: it must not be written to
        try:
            half.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, half)


def write_json(path: Path, values: Any) -> None:
    """Write JSON, whole or not at all."""
    with atomic_write(path) as half:
        half.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV or Parquet table, whole or not at all."""
    with atomic_write(path) as half:
        if path.suffix == ".parquet":
            table.to_parquet(half, index=False)
        else:
            with half.open("w", encoding="utf-8", newline="") as file:
                write_csv(file, [table.columns])
                _csv_safe(table).to_csv(file, index=False, header=False)


def _csv_safe(table: pd.DataFrame) -> pd.DataFrame:
    """The table with text that no spreadsheet calculates."""
    safe = table.copy()
    for name in table.select_dtypes(exclude="number"):
        safe[name] = table[name].map(_one_row)
    return safe


def _one_row(cell: Any) -> Any:
    # Python before 3.13 does not quote a lone carriage return, which ends a row
    return csv_cell(cell.replace("\r", " ") if isinstance(cell, str) else cell)
