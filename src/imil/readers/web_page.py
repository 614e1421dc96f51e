"""The readers at a web page: training and page exchange cases and readings through the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from imil.asked_cases import open_cases
from imil.cases import Case, Reader, Reading, Round
from imil.store import Store, round_state
from imil.store.clock import now
from imil.store.invitations import visited
from imil.store.round_waiting import waiting

POLL_INTERVAL = 0.5  # seconds


@dataclass
class Web:
    """Readings that a page writes into the store, until the round is closed there.

    A round closes when every reader that it waits for has finished, or when its owner closes it;
    that all cases are read is not enough, for a reading may still be changed. Interrupting leaves
    the round open and loses nothing.

    Args:
        store: the store that the page writes to.
        interval: seconds between two queries of it.
        fallback: answers if nobody opens the page within `patience`.
        patience: seconds until then.
        say: prints a line.
        check_server: called at each query; it may raise if nobody can answer any more.
    """

    store: Store
    interval: float = POLL_INTERVAL
    fallback: Reader | None = None
    patience: float = 60.0
    say: Callable[[str], None] = lambda _line: None
    check_server: Callable[[], None] = lambda: None
    _alone: bool = field(default=False, init=False)  # the fallback answers

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings as they come; each is in the store already, and adding it again does nothing."""
        if not cases:
            return
        round_ = self.store.round_of(cases[0])
        if self.fallback is not None and not self._opened_in_time(round_.run):
            self._alone = True
            yield from self.fallback(cases)
            return
        done, told = 0, ""
        while True:
            # the state first: what is read after it was stored before the round closed
            state = round_state.close_if_over(self.store, round_, at_page=True)
            readings = self.store.readings(round_.id)
            yield from readings[done:]
            done = len(readings)
            told = self._tell(round_, told)
            if state != "open":
                return
            self.check_server()
            time.sleep(self.interval)

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """All of them: that a case is read by one reader says nothing of the others."""
        if self._alone and self.fallback is not None:
            return open_cases(self.fallback, cases, readings)
        return list(cases)

    def _tell(self, round_: Round, told: str) -> str:
        """Say who has finished, where that has changed; returns what was said last."""
        still = waiting(self.store, round_.id)
        if not still.finished:
            return told
        line = (
            f"The round after epoch {round_.epoch} is finished by {', '.join(still.finished)}; "
            f"it waits for {still}."
        )
        if line != told:
            self.say(line)
        return line

    def _opened_in_time(self, run: str) -> bool:
        """Whether somebody opens the page within `patience`."""
        start = now()
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if visited(self.store, run, start):
                return True
            time.sleep(min(self.interval, POLL_INTERVAL))
        self.say(
            f"Nobody opened the page within {self.patience:.0f} s: a simulated reader answers."
        )
        return False
