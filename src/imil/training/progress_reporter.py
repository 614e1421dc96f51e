"""Signs of life of a training, in the store, for whoever watches from the reading room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from imil.cases import Case, Reader, Reading
from imil.store.run_progress import Progress
from imil.training.throttle import Throttle


class ProgressReporter(Callback):
    """Tells the store how far the run is, for whoever watches from the reading room."""

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
        """Give signs of life while the block runs."""
        return self._progress.alive(self._run)

    def waiting(self, reader: Reader) -> Reader:
        """The same reader; while it is asked, the run is said to wait."""

        def ask(cases: Sequence[Case]) -> Iterator[Reading]:
            self._progress.report(self._run, state="waiting")
            yield from reader(cases)
            self._progress.report(self._run, state="running")

        return ask

    def finished(self, epochs: int, metrics: dict[str, Any]) -> None:
        """Say that training is over, and what it came to."""
        self._result(epochs, metrics)
        self._progress.report(self._run, state="finished", epoch=epochs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where training starts."""
        self._at(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say that an epoch is over, and what was measured before a round."""
        self._at(trainer, trainer.current_epoch + 1)

    def _at(self, trainer: Trainer, epoch: int) -> None:
        metrics = self._measured(epoch)
        if metrics is not None or self._throttle.due():
            with self._throttle.doing():
                self._progress.report(
                    self._run, state="running", epoch=epoch, epochs=trainer.max_epochs
                )
        self._result(epoch, metrics)

    def _result(self, epoch: int, metrics: dict[str, Any] | None) -> None:
        if metrics is not None and epoch not in self._known:
            numbers = {name: value for name, value in metrics.items() if value is not None}
            self._progress.add_result(self._run, epoch, numbers)
            self._known.add(epoch)
