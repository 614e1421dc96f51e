"""The masks of a table: their contents, and whether each says what it selects."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from imil.atomic_files import atomic_write
from imil.data.file_hashes import hash_files
from imil.data.table import Table
from imil.errors import DataError
from imil.images.load import load_mask
from imil.threads import in_order

FORMAT = 1  # to be increased when other masks are refused
IN_ERROR = 3  # masks that an error names


def mask_contents(table: Table, cache: Path) -> tuple[str, ...]:
    """A SHA-256 over the mask files of each image; empty where it has none.

    Args:
        table: of N images.
        cache: folder of decoded images, with the index of hashes.
    """
    by_image: list[dict[str, str]] = [{} for _ in table.keys]
    for column, (rows, hashes) in _hashes(table, cache).items():
        for i, content in zip(rows, hashes, strict=True):
            by_image[i][column] = content
    return tuple(
        hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() if one else ""
        for one in by_image
    )


def check_selections(table: Table, cache: Path) -> None:
    """Check that each mask can be decoded and says what it selects; once for each content.

    Args:
        table: whose masks have passed `check_masks`.
        cache: folder of decoded images, where it is noted which masks are known to be good.
    Raises: DataError: masks cannot be used: how many, and the first three.
    """
    known = _load_known(cache)
    unknown: dict[str, Path] = {}
    for column, (rows, hashes) in _hashes(table, cache).items():
        for i, content in zip(rows, hashes, strict=True):
            path = table.masks[column][i]
            if content not in known and path is not None:
                unknown.setdefault(content, path)
    errors = list(filter(None, in_order(_error, unknown.values())))
    if errors:
        raise DataError(
            f"{len(errors)} of the masks cannot be used: {'; '.join(errors[:IN_ERROR])}"
        )
    if unknown:
        with suppress(OSError):  # a read-only cache: they are checked again next time
            with atomic_write(cache / "masks.json") as half:
                contents = sorted(known | set(unknown))
                half.write_text(json.dumps({"format": FORMAT, "good": contents}), encoding="utf-8")


def _hashes(table: Table, cache: Path) -> dict[str, tuple[list[int], list[str]]]:
    """For each column of masks, the rows that have one, and the contents of the files."""
    result = {}
    for column, paths in table.masks.items():
        files = {i: path for i, path in enumerate(paths) if path is not None}
        hashes, _ = hash_files(list(files.values()), cache / "hashes.json", lambda _done, _of: None)
        result[column] = list(files), hashes
    return result


def _error(path: Path) -> str:
    try:
        load_mask(path)
    except DataError as error:
        return str(error)
    return ""


def _load_known(cache: Path) -> set[str]:
    with suppress(OSError, ValueError, LookupError, TypeError):
        noted = json.loads((cache / "masks.json").read_text(encoding="utf-8"))
        if noted["format"] == FORMAT:
            return set(map(str, noted["good"]))
    return set()
