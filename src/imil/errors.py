"""Errors that a person can fix: one sentence, never a traceback.

Every message names the value, what was expected, and what to do.
"""

from __future__ import annotations


class ImilError(Exception):
    """Something that a person can fix. The command line prints it and exits with 2."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback; `%tb` shows that one."""
        return [f"{type(self).__name__}: {self}"]


class DataError(ImilError):
    """An image, a label, a mask or a table cannot be used as it is."""


class SettingsError(ImilError):
    """A setting is out of range, or contradicts another."""


class SquareError(ImilError):
    """A square does not exist in the grid, or a text is not a list of squares."""


class ShapeError(ImilError):
    """Shapes or values of arrays do not match."""


class StoreError(ImilError):
    """The store cannot be opened, read or written."""


class NotFound(StoreError):
    """The store does not have it, or no longer."""


class RoundClosed(StoreError):
    """The round accepts no more readings."""


class StoreBusy(StoreError):
    """The store cannot be written just now: locked, full or write-protected. Try again later."""


class RoundPaused(ImilError):
    """The reader stopped before the last case; every reading so far is stored."""


class RoundParked(RoundPaused):
    """A round is open, nobody waits for it in training; go on once it is answered."""


class RoundUnanswered(RoundPaused):
    """Training cannot go on yet: a parked round is not answered. Try again later."""
