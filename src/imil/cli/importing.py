"""Importing what is heavy, in less time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """A block of imports, during which nobody looks for garbage.

    Frameworks make a million objects that stay; to look through them again and again takes a
    sixth of the time (6.0 and 4.9 s for all that `imil train` needs, on two cores). What is there
    at the end of the block is not looked through later either.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
