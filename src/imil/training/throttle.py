"""How often to do what costs training time: checkpoints, tables, reports of progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

TIME_SHARE = 0.005  # of the time that may go into it
MAX_INTERVAL = 300.0  # seconds between two times, whatever it costs


class Throttle:
    """Says when to do something again: when what it took last is a small share of the time since.

    Or when it was long ago, so that on a slow disk little is lost.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time; at first it is."""
        return monotonic() >= self._next

    @contextmanager
    def timed(self) -> Iterator[None]:
        """A block that does it, and is timed."""
        began = monotonic()
        yield
        ended = monotonic()
        self._next = ended + min((ended - began) / TIME_SHARE, MAX_INTERVAL)
