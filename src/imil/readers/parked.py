"""Readers of a page, asked once: a round that they have not answered is left open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imil.cases import Case, Reading
from imil.errors import RoundParked
from imil.store import Store, round_state
from imil.store.round_waiting import waiting_sentence


@dataclass(frozen=True)
class Parked:
    """Readings that a page has written into the store; nobody is waited for.

    At the first time it leaves the round open and raises `RoundParked`, so that the training can
    end and free its machine. Once the round is answered, the training that is resumed from its
    checkpoint gets the readings.

    Args:
        store: the store that the page writes to.
    """

    store: Store

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """The readings of an answered round. Raises: RoundParked: it is not answered."""
        if not cases:
            return
        round_ = self.store.round_of(cases[0])
        if round_state.close_if_over(self.store, round_, at_page=True) == "open":
            who = waiting_sentence(self.store, round_.id)
            raise RoundParked(
                f"the round after epoch {round_.epoch} is open and waits for {who}; resume the "
                "training when it is answered"
            )
        yield from self.store.readings(round_.id)

    def open_cases(self, cases: Sequence[Case], _readings: Sequence[Reading]) -> list[Case]:
        """All of them: that a case is read by one reader says nothing of the others."""
        return list(cases)
