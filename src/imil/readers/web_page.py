"""The reader at a web page: nothing but the store lies between the training and the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imil.cases import Case, Reader, Reading
from imil.store import Store
from imil.store.clock import now
from imil.store.invitations import visited

INTERVAL = 0.5  # seconds between two looks into the store


@dataclass
class Web:
    """Readings that a page puts into the store, until the round is closed there.

    The page or the owner closes the round; that all cases are read is not enough, for a
    reading may still be changed. Interrupting leaves the round open and loses nothing.

    Args:
        store: the store that the page writes to.
        interval: seconds between two looks into it.
        otherwise: answers if nobody opens the page within `patience`.
        patience: seconds until then.
        say: takes a line for the person who is watching.
        keep_up: called at each look; it may raise where nobody can answer any more.
    """

    store: Store
    interval: float = INTERVAL
    otherwise: Reader | None = None
    patience: float = 60.0
    say: Callable[[str], None] = lambda _line: None
    keep_up: Callable[[], None] = lambda: None

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings as they come; they are in the store already, so adding them again is free."""
        if not cases:
            return
        round_ = self.store.round_of(cases[0])
        if self.otherwise is not None and not self._somebody(round_.run):
            yield from self.otherwise(cases)
            return
        done = 0
        while True:
            # the state first: what is read after it was stored before the round closed
            still_open = self.store.round_of(cases[0]).state == "open"
            found = self.store.readings(round_.id)
            yield from found[done:]
            done = len(found)
            if not still_open:
                return
            self.keep_up()
            time.sleep(self.interval)

    def _somebody(self, run: str) -> bool:
        """Whether the page is opened in time."""
        began = now()
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            if visited(self.store, run, began):
                return True
            time.sleep(min(self.interval, 0.5))
        self.say(f"Nobody opened the page within {self.patience:.0f} s: a program answers instead.")
        return False
