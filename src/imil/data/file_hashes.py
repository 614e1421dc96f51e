"""What files contain, as hashes, remembered: an unchanged file is not read at every start."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock

from imil.threads import in_order

JUST_NOW = 2_000_000_000  # ns; within a tick of the file system a file may change twice


def hash_files(
    paths: Sequence[Path], index: Path, progress: Callable[[int, int], None]
) -> tuple[list[str], int]:
    """SHA-256 of each file, "" where it cannot be read; and how many had to be read for it.

    Args:
        paths: the files.
        index: a JSON file that remembers the hash of each path, size and times of change.
            It is made anew where it is damaged; where it cannot be written, it is not.
        progress: is told how many files have been read, and how many must be.
    """
    names = [str(path.absolute()) for path in paths]
    states = [_state(path) for path in paths]
    known = _remembered(index)
    hashes = {
        name: known[name][1]
        for name, state in zip(names, states, strict=True)
        if name in known and known[name][0] == state
    }
    unread = [i for i, name in enumerate(names) if name not in hashes]
    for done, (i, found) in enumerate(
        zip(unread, in_order(_sha256, [paths[i] for i in unread]), strict=True), start=1
    ):
        hashes[names[i]] = found
        progress(done, len(unread))
    settled = time.time_ns() - JUST_NOW
    fresh = {
        names[i]: (states[i], hashes[names[i]])
        for i in unread
        if hashes[names[i]] and states[i][2] < settled
    }
    if fresh:
        _remember(index, fresh)
    return [hashes[name] for name in names], len(unread)


def _state(path: Path) -> list[int]:
    """Size, and when content and entry last changed; a copy may keep the first of the times."""
    with suppress(OSError):
        found = path.stat()
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return [0, 0, 0]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _remembered(index: Path) -> dict[str, Any]:
    """Name -> (state, hash); nothing where the file is missing or damaged."""
    with suppress(OSError, ValueError):
        found = json.loads(index.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(map(_is_entry, found.values())):
            return found
    return {}


def _is_entry(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2


def _remember(index: Path, fresh: dict[str, Any]) -> None:
    """Add to the file, unless it cannot be written or somebody else is writing it."""
    part = index.with_suffix(".part")
    with suppress(OSError, filelock.Timeout):
        with filelock.FileLock(index.with_suffix(".lock")).acquire(timeout=0):
            part.write_text(json.dumps(_remembered(index) | fresh), encoding="utf-8")
            part.replace(index)
