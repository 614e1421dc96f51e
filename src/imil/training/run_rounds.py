"""The rounds of a run: when they are due, and what their choice of cases needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from imil.cases import Reader, Round
from imil.predictions import Predictions
from imil.pytorch import IMIL, TorchModel
from imil.round_settings import reader_panel
from imil.rounds import Say
from imil.settings import TrainSettings
from imil.store import Store
from imil.training.epoch_predictions import EpochPredictions, epochs_needed
from imil.training.round_timing import DueRounds, Rows, check_validation, round_timing
from imil.training.run_choice import check_choice, needs_history, run_providers
from imil.training.samples.prepared_data import Prepared


class RunRounds:
    """Holds the rounds of a run.

    Args:
        settings: of the run.
        data: its images.
        marks: further completed epochs after which everything is kept as before a round.
        rows: gives the history so far.
    Raises: SettingsError: the data lack what the rounds need.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: Prepared,
        *,
        marks: tuple[int, ...],
        rows: Callable[[], Rows],
    ) -> None:
        self._settings, self._data = settings, data
        planned = settings.imil_epoch if settings.reader.kind != "none" else ()
        self.epochs = tuple(epoch for epoch in planned if epoch < settings.epochs)
        self._rows_of_table = data.rows("train").tolist()
        self._check(marks)
        self._store: Store | None = None
        timing = round_timing(settings, self.epochs, len(self._rows_of_table))
        self.due = DueRounds(timing, rows, self._held)
        self.record = self._make_record(max((*self.epochs, *marks), default=0))

    def open(
        self,
        samples: Any,
        model: TorchModel,
        ask: Reader,
        store: Store,
        run: str,
        say: Say,
    ) -> None:
        """Make everything ready for rounds.

        Args:
            samples: the training set.
            model, ask, store, run, say: as for `imil.pytorch.IMIL`.
        """
        settings = self._settings
        self._store, self._run, self._say = store, run, say
        budget = None if settings.budget == "none" else settings.budget
        self._imil = IMIL(
            samples,
            model,
            ask,
            store=store,
            run=run,
            imil_epoch=(self.epochs or None) if self._on_schedule else None,
            num_outliers=settings.num_outliers,
            budget=budget if self._on_schedule else None,
            grid_size=settings.grid_size,
            say=say,
            choice=settings.choice,
            providers=run_providers(
                settings, self._data.table, self._rows_of_table, model, samples, self.record
            ),
            seed=settings.seed,
            panel=reader_panel(settings),
            deadline=None if settings.deadline == "none" else settings.deadline,
        )
        many = settings.devices * settings.nodes > 1
        self._imil.gives_corrections_to_other_processes = many
        if settings.wait == "live":  # a loop of one's own would not take up the readings
            self._imil.settings = replace(self._imil.settings, live=True)

    def begin(self) -> None:
        """Check before the first epoch what a round needs; raises as `IMIL.begin`."""
        self._imil.begin()

    @property
    def has_first(self) -> bool:
        """Whether there is a round before the first epoch, of a training that goes on."""
        return any(round_.epoch == 0 for round_ in self._held())

    def restore(self, epoch: int, predictions: Predictions | None) -> Round | None:
        """Earlier corrections, then the round due after `epoch`; raises as `IMIL.restore`."""
        round_ = self._imil.restore(epoch, predictions)
        return round_ if round_ or self._on_schedule else self.after_epoch(epoch, predictions)

    def after_epoch(self, epoch: int, predictions: Predictions | None) -> Round | None:
        """The round held after `epoch` completed epochs; None where none is due.

        Raises: as `IMIL.after_epoch`.
        """
        if self._on_schedule:
            return self._imil.after_epoch(epoch, predictions)
        reason = self.due.reason(epoch)
        if reason is None:
            return None
        self._say(f"A round is held after epoch {epoch}: {reason}.")
        cases = self.due.cases(epoch, self._settings)
        return self._imil.hold_round(epoch, predictions, num_outliers=cases)

    @property
    def _on_schedule(self) -> bool:
        return self._settings.round_when == "schedule"

    def _check(self, marks: tuple[int, ...]) -> None:
        if self.epochs:
            check_validation(self._settings, self._data.splits)
        if self.epochs or marks:  # a study's baseline keeps what a round of other arms needs
            check_choice(self._settings, self._data.table, self._rows_of_table)

    def _held(self) -> Sequence[Round]:
        """The rounds so far, also one that is open."""
        return () if self._store is None else self._store.rounds(self._run)

    def _make_record(self, last: int) -> EpochPredictions | None:
        """Predictions of the epochs up to the last round, if the choice needs them."""
        choice = self._settings.choice
        if last == 0 or not needs_history(choice):
            return None
        images, classes = len(self._rows_of_table), len(self._data.class_names)
        return EpochPredictions(images, classes, epochs_needed(choice, last))
