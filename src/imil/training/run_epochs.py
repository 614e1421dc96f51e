"""The epochs of a run: from its newest checkpoint to the last one, and what follows each."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from imil.errors import ImilError
from imil.preemption import deferred, immediate, requested
from imil.pytorch.treatment_update import TreatmentUpdate
from imil.run_folder import RunFolder
from imil.training.callbacks import History
from imil.training.checkpoints import Checkpoints, Writer, newest_checkpoint
from imil.training.loop import EpochResult, Loop
from imil.training.progress_bars import Bar

Call = Callable[[int], object]  # with completed epochs


class RunEpochs:
    """Trains to the last epoch, with what is written and called after each.

    What an epoch leads to comes in this order: its row of the history, the bar, a checkpoint, the
    calls.

    Args:
        loop: trains.
        folder: of the run.
        marks: completed epochs after which a checkpoint stays.
        writer: of the checkpoints.
        history: gets a row for each epoch.
        bar: shows the epochs.
        update: what the treatment makes of readings, a part of checkpoints; None without a reader.
    """

    def __init__(
        self,
        loop: Loop,
        folder: RunFolder,
        *,
        marks: Container[int],
        writer: Writer,
        history: History,
        bar: Bar,
        update: TreatmentUpdate | None,
    ) -> None:
        self._loop, self._folder, self._writer = loop, folder, writer
        self._history, self._bar, self._update = history, bar, update
        self._checkpoints = Checkpoints(folder, marks, writer, self._state_dict)

    def load_checkpoint(self) -> None:
        """Take up the newest checkpoint, if there is one.

        Raises: DataError: it cannot be read, or no checkpoint has weights that are numbers.
        """
        if not self._folder.last.exists():
            return
        state = newest_checkpoint(self._folder)
        self._loop.load_state_dict(state)
        self._history.rows = list(state["history"])
        if self._update is not None and state["treatment"] is not None:  # None: of a baseline
            self._update.load_state_dict(state["treatment"])

    def train(self, first: Sequence[Call], each: Sequence[Call]) -> None:
        """Train to the last epoch.

        Where a signal asks to stop, the epoch and its checkpoint are finished first; what is called
        between epochs, such as a round, is stopped at once.

        Args:
            first: called when training begins, with completed epochs.
            each: called after each epoch, with completed epochs.
        Raises: DataError: a checkpoint could not be written. Preempted: a signal asked to stop.
        """

        def begin(epoch: int) -> None:
            self._bar.show(epoch)
            with immediate():
                for call in first:
                    call(epoch)

        def after_epoch(result: EpochResult) -> None:
            self._history.add(result)
            self._bar.advance(result)
            self._checkpoints.save(result, now=requested())
            with immediate():
                for call in each:
                    call(result.epoch)

        try:
            with deferred():
                self._loop.run(begin, after_epoch)
        except BaseException as error:
            self._settle_after(error)  # a run that is stopped goes on from there
            raise
        finally:
            self._bar.hide()
            self._loop.batches.release()
        self._writer.settle()

    def _state_dict(self) -> dict[str, Any]:
        treatment = None if self._update is None else self._update.state_dict()
        return self._loop.state_dict() | {"history": self._history.rows, "treatment": treatment}

    def _settle_after(self, error: BaseException) -> None:
        """Wait for the checkpoint that is being written; what stopped the training comes first."""
        try:
            self._writer.settle()
        except ImilError as failed:
            error.add_note(str(failed))
