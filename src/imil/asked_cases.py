"""Which cases of a round a reader is asked for, at its start and when it is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imil.cases import Case, Reader, Reading


def open_cases(reader: Reader, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
    """The cases that the reader is still asked for, in their order.

    By default those that nobody has read. A reader that answers in a name of its own, or in
    several, has a method `open_cases` with the same arguments: what others have read is still to
    be read by this one.

    Args:
        cases: of a round.
        readings: of these cases, by anybody.
    """
    own = getattr(reader, "open_cases", None)
    if own is not None:
        return list(own(cases, readings))
    read = {reading.case for reading in readings}
    return [case for case in cases if case.id not in read]


@dataclass(frozen=True)
class Wrapped:
    """A reader around another one, asked for the same cases.

    Args:
        reader: the other one.
        ask: called in its place.
    """

    reader: Reader
    ask: Callable[[Sequence[Case]], Iterator[Reading]]

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """What `ask` gives."""
        return self.ask(cases)

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """As of the other reader."""
        return open_cases(self.reader, cases, readings)
