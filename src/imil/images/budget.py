"""How much memory and work a file may ask for: known from its header, before it is decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from imil.errors import DataError

MAX_PIXELS = 100_000_000  # 10,000 × 10,000; a mammogram has 25 million
MAX_BYTES = 320_000_000  # of decoded samples: 100 million pixels of 8-bit RGB
LARGE_BYTES = 64_000_000  # of which one is decoded at a time, whatever the number of threads
MAX_SCANS = 100  # of a progressive JPEG; encoders write about 10
MAX_SCANNED = 2_000_000_000  # pixels in all scans of a JPEG


def check_budget(height: int, width: int, bytes_a_pixel: int) -> int:
    """The bytes that a decoded image may have.

    Raises: DataError: this one has more, or no pixels at all.
    """
    if height < 1 or width < 1:
        raise DataError(f"is damaged: it has {height} × {width} pixels")
    if height * width > MAX_PIXELS:
        raise DataError(f"has {height} × {width} pixels: expected at most {MAX_PIXELS:,}")
    if height * width * bytes_a_pixel > MAX_BYTES:
        raise DataError(
            f"has {height} × {width} pixels of {bytes_a_pixel} bytes, which would take "
            f"{height * width * bytes_a_pixel / 1e6:.0f} MB: expected at most "
            f"{MAX_BYTES / 1e6:.0f} MB; save it as grey, or smaller"
        )
    return MAX_BYTES


@contextmanager
def decoding(size: int) -> Iterator[None]:
    """A block that decodes so many bytes; large images wait for one another."""
    if size <= LARGE_BYTES:
        yield
        return
    with _ONE_LARGE:
        yield


_ONE_LARGE = threading.Lock()
