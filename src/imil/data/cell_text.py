"""The text of a cell without what a spreadsheet adds and nobody sees."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from imil.images.file_parts import split_part

# how R, pandas and spreadsheets write a missing value; "none" may be a class
MISSING = {"", "na", "n/a", "nan", "<na>", "null", "#n/a"}
# spaces that do not break, and characters without width: joiners, byte-order and direction marks
SPACES = "\u00a0\u2007\u202f"
NO_WIDTH = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
EDGE = SPACES + NO_WIDTH
CLEAN = str.maketrans(dict.fromkeys(SPACES, " ") | dict.fromkeys(NO_WIDTH, ""))


def clean(cell: str) -> str:
    """The text with ordinary spaces, nothing invisible, and in Unicode's composed form (NFC).

    >>> clean("TB\\u00a0\\u200b")
    'TB'
    """
    if cell.isascii():
        return cell.strip()
    return unicodedata.normalize("NFC", cell.translate(CLEAN)).strip()


def trim(cell: str) -> str:
    """The text without what is invisible at its ends; a file may be called like the rest.

    >>> trim("\\ufeff a\\u00a0b.png\\u200b ")
    'a\\xa0b.png'
    """
    while (trimmed := cell.strip().strip(EDGE)) != cell:
        cell = trimmed
    return cell


def or_empty(cell: str) -> str:
    """The cell, "" where it is one of the ways to write a missing value."""
    return "" if cell.lower() in MISSING else cell


def find_file(base: Path, name: str) -> Path:
    """The file that a cell names, in whichever Unicode form and with whichever spaces it exists.

    Args:
        base: the folder of the table.
        name: a path with `/`, absolute or from `base`.
    Returns: `base / name` where there is no such file.
    """
    path = base / name
    if name.isascii() or path.exists():
        return path
    _, within = split_part(path)
    if within is not None:
        found = find_file(base, name[: name.rindex("#")])
        return found.with_name(f"{found.name}#{within}")
    found = base
    for part in Path(name).parts:
        forms = (part, clean(part), *(unicodedata.normalize(f, part) for f in ("NFC", "NFD")))
        more = (*forms, unicodedata.normalize("NFD", clean(part)))
        existing = next((found / form for form in more if (found / form).exists()), None)
        if existing is None:
            return path
        found = existing
    return found
