"""What lies in the cache of decoded images, and deleting it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from imil.errors import DataError
from imil.json_files import read_table

INDEX = "hashes.json"
SUFFIXES = (".npy", ".json", ".lock", ".part", ".json.part")


@dataclass(frozen=True)
class CacheEntry:
    """A file of decoded images.

    Args:
        path: of the pixels.
        images: how many there are; None where the description is damaged.
        size: height and width in pixels; None as above.
        bytes: of the file.
        contents: hashes of the originals; empty in files of earlier versions.
    """

    path: Path
    images: int | None
    size: int | None
    bytes: int
    contents: frozenset[str]


def cache_entries(folder: Path) -> list[CacheEntry]:
    """The files of decoded images in a cache, the newest first."""
    paths = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [_entry(path) for path in paths]


def clear_cache(folder: Path) -> int:
    """Delete all decoded images and the index of hashes; returns how many files of images.

    Raises: OSError: a file cannot be deleted.
    """
    entries = cache_entries(folder)
    for entry in entries:
        _delete(entry)
    (folder / INDEX).unlink(missing_ok=True)
    return len(entries)


def delete_images(folder: Path, contents: Collection[str]) -> int:
    """Delete every file with the pixels of one of these originals; returns how many.

    A file that does not say what it holds is deleted too: it is only a cache.

    Args:
        contents: SHA-256 of the originals' files.
    """
    wanted = frozenset(contents)
    holding = [one for one in cache_entries(folder) if not one.contents or one.contents & wanted]
    for entry in holding:
        _delete(entry)
    return len(holding)


def _entry(path: Path) -> CacheEntry:
    try:
        values = read_table(path.with_suffix(".json"), "clear the cache")
        images, size, contents = (values.get(name) for name in ("images", "size", "contents"))
    except (DataError, FileNotFoundError):
        images = size = contents = None
    return CacheEntry(
        path,
        images if isinstance(images, int) else None,
        size if isinstance(size, int) else None,
        path.stat().st_size,
        frozenset(map(str, contents)) if isinstance(contents, list) else frozenset(),
    )


def _delete(entry: CacheEntry) -> None:
    for suffix in SUFFIXES:
        entry.path.with_suffix(suffix).unlink(missing_ok=True)
