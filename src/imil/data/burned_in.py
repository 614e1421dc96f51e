"""Which images say or seem to have text in their pixels, which may name a patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from imil.errors import DataError
from imil.images.dicom_header_values import says_burned_in
from imil.images.load import load_image
from imil.images.text_lines import count_text_lines
from imil.threads import in_order

SHOWN = 5  # images that a sentence names


def burned_in_reason(path: Path) -> str:
    """Why an image may have text in its pixels; empty where nothing speaks for it.

    Raises: DataError: it cannot be read.
    """
    if says_burned_in(path):
        return "its header says so"
    lines = count_text_lines(load_image(path))
    return f"{lines} {'row' if lines == 1 else 'rows'} of letters" if lines else ""


def describe_burned_in(keys: Sequence[str], images: Iterable[Path]) -> list[str]:
    """A sentence about images that say or seem to have text in their pixels; empty without any.

    Args:
        keys: N names, as the sentence gives them.
        images: N files.
    """
    reasons = in_order(_reason_or_none, list(images))
    found = [f"'{key}' ({why})" for key, why in zip(keys, reasons, strict=True) if why]
    if not found:
        return []
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    what = "1 image says or seems" if len(found) == 1 else f"{len(found)} images say or seem"
    listed = ", ".join(found[:SHOWN]) + more
    return [
        f"{what} to have text in the pixels: {listed}; leave out those in which it names a patient"
    ]


def _reason_or_none(path: Path) -> str:
    try:
        return burned_in_reason(path)
    except DataError:  # decoding reports it
        return ""
