"""Several simulated readers of the same rounds, each under a name of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imil.assignment import asked_numbers
from imil.cases import Case, Reader, Reading, RoundSettings


class SeveralReaders:
    """Readers who answer one after the other, each the cases that the panel asks them for.

    Args:
        readers: name -> reader, whose readings have that name.
        settings: of the rounds: panel and seed.
    """

    def __init__(self, readers: Mapping[str, Reader], settings: RoundSettings) -> None:
        self._readers, self._settings = readers, settings
        self._answered: set[tuple[str, str]] = set()  # reader, case
        self._total = 0  # cases of the round

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """The readings of each reader in turn."""
        self._total = max(self._total, len(cases))
        for name, reader in self._readers.items():
            own = self._open(name, cases)
            if own:
                yield from reader(own)

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """The cases that some reader is asked for and has not answered."""
        self._answered = {(one.reader, one.case) for one in readings}
        self._total = len(cases)
        left = {case.id for name in self._readers for case in self._open(name, cases)}
        return [case for case in cases if case.id in left]

    def _open(self, name: str, cases: Sequence[Case]) -> list[Case]:
        """The cases of one reader, in the reader's order."""
        if not cases:
            return []
        numbers = asked_numbers(self._settings, cases[0].epoch, self._total, name)
        by_number = {case.number: case for case in cases if (name, case.id) not in self._answered}
        return [by_number[number] for number in numbers if number in by_number]
