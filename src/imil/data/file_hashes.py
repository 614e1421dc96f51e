"""Hashes of files, kept in an index: an unchanged file is not read again at every start."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock

from imil.errors import DataError
from imil.images.dicom_header_values import files_of
from imil.images.file_parts import FilePart, split_part
from imil.json_files import read_json
from imil.threads import in_order

RECENT_NS = 2_000_000_000  # ns; a file may change twice within one time stamp of the file system


def hash_files(
    paths: Sequence[Path], index: Path, progress: Callable[[int, int], None]
) -> tuple[list[str], int]:
    """SHA-256 of each image's file, "" where it cannot be read; and how many files were read.

    Of an image within a file (`imil.images.file_parts`), that of the file's hash and its part. Of a
    folder, which is a DICOM series, that of its files' hashes, whatever their names and order.

    Args:
        paths: the images.
        index: a JSON file with the hash of each path, size and time of change. It is replaced
            if it is damaged, and left out if it cannot be written.
        progress: is called with the number of files read so far, and of files to read.
    """
    parts = [split_part(path) for path in paths]
    held = {file: _files(file) for file, _ in parts}
    files = list(dict.fromkeys(one for several in held.values() for one in several))
    digests, read = _hash_whole(files, index, progress)
    by_file = dict(zip(files, digests, strict=True))
    whole = {
        file: _of_series([by_file[one] for one in several]) if file.is_dir() else by_file[file]
        for file, several in held.items()
    }
    return [_of_part(whole[file], part) for file, part in parts], read


def _files(path: Path) -> list[Path]:
    """The file itself, or those of a series; a folder of anything else is reported by decoding."""
    if not path.is_dir():
        return [path]
    with suppress(DataError):
        return files_of(path)
    return []


def _of_series(digests: list[str]) -> str:
    if not all(digests):
        return ""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest() if digests else ""


def _of_part(digest: str, part: FilePart | None) -> str:
    if part is None or not digest:
        return digest
    return hashlib.sha256(f"{digest}#{part}".encode()).hexdigest()


def _hash_whole(
    paths: Sequence[Path], index: Path, progress: Callable[[int, int], None]
) -> tuple[list[str], int]:
    names = [str(path.absolute()) for path in paths]
    states = [_file_state(path) for path in paths]
    known = _load_index(index)
    hashes = {
        name: known[name][1]
        for name, state in zip(names, states, strict=True)
        if name in known and known[name][0] == state
    }
    unread = [i for i, name in enumerate(names) if name not in hashes]
    for done, (i, digest) in enumerate(
        zip(unread, in_order(_sha256, [paths[i] for i in unread]), strict=True), start=1
    ):
        hashes[names[i]] = digest
        progress(done, len(unread))
    before = time.time_ns() - RECENT_NS
    new = {
        names[i]: (states[i], hashes[names[i]])
        for i in unread
        if hashes[names[i]] and states[i][2] < before
    }
    if new:
        _update_index(index, new)
    return [hashes[name] for name in names], len(unread)


def _file_state(path: Path) -> list[int]:
    """Size, and the times of change of content and entry; a copy may keep the first of them."""
    with suppress(OSError):
        status = path.stat()
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    return [0, 0, 0]


def _sha256(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would be waited for, a device never ends
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _load_index(index: Path) -> dict[str, Any]:
    """Name -> (state, hash); empty where the file is missing or damaged."""
    with suppress(OSError, DataError):
        entries = read_json(index, "it is made anew")
        if isinstance(entries, dict) and all(map(_is_entry, entries.values())):
            return entries
    return {}


def _is_entry(value: object) -> bool:
    match value:
        case [[int(), int(), int()], str(digest)]:
            return len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return False


def _update_index(index: Path, new: dict[str, Any]) -> None:
    """Add to the index, unless it cannot be written or another process is writing it."""
    part = index.with_suffix(".part")
    with suppress(OSError, filelock.Timeout):
        with filelock.FileLock(index.with_suffix(".lock")).acquire(timeout=0):
            part.write_text(json.dumps(_load_index(index) | new), encoding="utf-8")
            part.replace(index)
