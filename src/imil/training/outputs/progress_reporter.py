"""How far a training is, in the store, for those who watch from the reading room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from imil.asked_cases import Wrapped
from imil.cases import Case, Reader, Reading
from imil.errors import RoundParked
from imil.store.run_progress import Progress
from imil.training.throttle import Throttle


class ProgressReporter:
    """Writes into the store how far the run is, for those who watch from the reading room.

    Args:
        progress: where it is written.
        run: name of the run.
        measured: completed epochs -> metrics of the test set before the round, or None.
    """

    def __init__(
        self,
        progress: Progress,
        run: str,
        measured: Callable[[int], dict[str, Any] | None],
    ) -> None:
        self._progress, self._run, self._measured = progress, run, measured
        self._known = {epoch for epoch, _ in progress.results(run)}
        self._throttle = Throttle()

    def alive(self) -> AbstractContextManager[None]:
        """Mark the run as alive while the block runs."""
        return self._progress.alive(self._run)

    def waiting(self, reader: Reader) -> Reader:
        """The same reader; while it is asked, the run's state is `waiting`, then maybe `parked`."""

        def ask(cases: Sequence[Case]) -> Iterator[Reading]:
            self._progress.report(self._run, state="waiting")
            try:
                yield from reader(cases)
            except RoundParked:
                self._progress.report(self._run, state="parked")
                raise
            self._progress.report(self._run, state="running")

        return Wrapped(reader, ask)

    def finished(self, epochs: int, metrics: dict[str, Any]) -> None:
        """Write that training is over, and the test metrics at its end."""
        self._result(epochs, metrics)
        self._progress.report(self._run, state="finished", epoch=epochs)

    def report(self, epoch: int, epochs: int) -> None:
        """Write how many epochs of how many are completed, and what was measured before a round."""
        metrics = self._measured(epoch)
        if metrics is not None or self._throttle.due():
            with self._throttle.timed():
                self._progress.report(self._run, state="running", epoch=epoch, epochs=epochs)
        self._result(epoch, metrics)

    def _result(self, epoch: int, metrics: dict[str, Any] | None) -> None:
        if metrics is not None and epoch not in self._known:
            numbers = {name: value for name, value in metrics.items() if value is not None}
            self._progress.add_result(self._run, epoch, numbers)
            self._known.add(epoch)
