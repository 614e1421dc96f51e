"""What a run does about its rounds when training begins, after each epoch, and at the end."""

from __future__ import annotations

from collections.abc import Callable

from imil.cases import Round
from imil.pytorch.treatment_update import TreatmentUpdate
from imil.training.live_rounds import LiveRounds
from imil.training.run_predictions import RunPredictions
from imil.training.run_rounds import RunRounds


class RoundCalls:
    """Holds the rounds of a run, and lets the treatment take up what is read.

    Args:
        rounds: of the run.
        update: what the treatment makes of readings.
        predictions: made before a round.
        live: takes up readings while training goes on; None where training waits for them.
        epochs: of the whole training.
        taken_up: called when the readings of a round are.
    """

    def __init__(
        self,
        rounds: RunRounds,
        update: TreatmentUpdate,
        predictions: RunPredictions,
        live: LiveRounds | None,
        *,
        epochs: int,
        taken_up: Callable[[], object],
    ) -> None:
        self._rounds, self._update, self._predictions = rounds, update, predictions
        self._live, self._epochs, self._taken_up = live, epochs, taken_up

    def begin(self, epoch: int) -> None:
        """What comes before the first epoch that is trained, after `epoch` completed ones."""
        if epoch == 0 and not self._rounds.has_first:
            self._rounds.begin()
            return
        if self._live is not None:
            self._live.resume(epoch)
        round_ = self._rounds.restore(epoch, self._predictions.train)
        self._update.restore()
        self._take_up(epoch, round_)
        self._update.after_epoch(epoch)

    def after_epoch(self, epoch: int) -> None:
        """What follows `epoch` completed epochs."""
        self._take_up(epoch, self._rounds.after_epoch(epoch, self._predictions.train))
        if epoch < self._epochs:
            self._update.after_epoch(epoch)

    def end(self) -> None:
        """What comes after the last epoch."""
        if self._live is not None:
            self._live.end(self._epochs)
        self._update.finish(self._epochs)

    def _take_up(self, epoch: int, round_: Round | None) -> None:
        held = [] if round_ is None else [round_]
        for one in held if self._live is None else self._live.ended(epoch):
            self._update.after_round(one)
            self._taken_up()
