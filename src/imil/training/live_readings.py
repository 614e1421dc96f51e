"""Readings that come while training goes on: looked for in a thread, beside the steps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from imil.asked_cases import Wrapped
from imil.cases import Case, Reader, Round
from imil.merging import Merged
from imil.store import Store, round_state

LOG = logging.getLogger(__name__)
INTERVAL = 1.0  # seconds between two queries of the store


@dataclass(frozen=True)
class Found:
    """What the store has of a round now.

    Args:
        round: in its state.
        answers: number of the case -> what counts of it.
        keys: number of the case -> key of its sample.
        lines: for the person who is watching.
    """

    round: Round
    answers: Mapping[int, Merged]
    keys: Mapping[int, str]
    lines: tuple[str, ...]


class LiveReadings:
    """Looks for readings of the run's live rounds, and hands over what is new.

    All that waits for the store happens in its thread: a training step never does. It also closes
    and applies rounds that are answered.

    Args:
        store: that a page writes to.
        run: name of the run.
        check_server: called at each query; restarts a page that has ended.
    """

    def __init__(
        self, store: Store, run: str, check_server: Callable[[], None] = lambda: None
    ) -> None:
        self._store, self._run, self._check_server = store, run, check_server
        self._found: SimpleQueue[Found] = SimpleQueue()
        self._known: dict[str, tuple[object, ...]] = {}  # round -> state and readings
        self._cases: dict[str, list[Case]] = {}
        self._asking, self._stopped = Lock(), Event()
        self._complaint = ""
        self._thread = Thread(target=self._look, name="imil-live", daemon=True)

    def start(self) -> None:
        """Look every second from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def take(self) -> list[Found]:
        """What was found since the last call; it does not wait."""
        found = []
        while True:
            try:
                found.append(self._found.get_nowait())
            except Empty:
                return found

    def ask(self) -> None:
        """Look now. Raises: StoreError, of `imil.errors`: the store cannot be used."""
        with self._asking:
            for round_ in self._store.rounds(self._run):
                if round_.settings.live:
                    self._ask(round_)

    def _ask(self, round_: Round) -> None:
        if self._known.get(round_.id, ("",))[0] == "applied":
            return  # its readings are final
        lines: list[str] = []
        # the state first: what is read after it was stored before the round closed
        state = round_state.close_if_over(self._store, round_, at_page=True)
        if state == "closed" and (merged := round_state.apply(self._store, round_)) is not None:
            state, sentence = "applied", round_state.deadline_sentence(self._store, round_)
            lines = [*merged, *([sentence] if sentence else [])]
        readings = self._store.readings(round_.id)
        now = (state, *(one.id for one in readings))
        if now == self._known.get(round_.id):
            return
        if round_.id not in self._cases:
            self._cases[round_.id] = self._store.cases(round_.id)
        cases, merged_of = self._cases[round_.id], self._store.merged(round_.id)
        answers = {case.number: merged_of[case.id] for case in cases if case.id in merged_of}
        keys = {case.number: case.key for case in cases}
        self._known[round_.id] = now
        self._found.put(Found(replace(round_, state=state), answers, keys, tuple(lines)))

    def _look(self) -> None:
        while not self._stopped.wait(INTERVAL):
            try:
                self._check_server()
                self.ask()
                self._complaint = ""
            except Exception as error:  # nothing that is wrong here may end the training
                if str(error) != self._complaint:
                    LOG.warning("Readings cannot be taken up: %s", error)
                self._complaint = str(error)


@contextmanager
def live_readings(store: Store, run: str, reader: Reader) -> Iterator[LiveReadings]:
    """Readings of the run's live rounds, looked for while the block runs.

    Args:
        reader: of a page, which is started again when its server has ended.
    """
    page = reader.reader if isinstance(reader, Wrapped) else reader
    check_server = getattr(page, "check_server", None)
    readings = LiveReadings(store, run, *([] if check_server is None else [check_server]))
    readings.start()
    try:
        yield readings
    finally:
        readings.stop()
