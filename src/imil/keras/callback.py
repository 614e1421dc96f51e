"""IMIL as a Keras callback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from imil.cases import Reader, Round, RoundSettings
from imil.choices import Provider, check_classes
from imil.errors import RoundPaused, SettingsError
from imil.grid import Grid
from imil.keras.dataset import CorrectedDataset
from imil.keras.model import KerasModel, Outputs
from imil.library_versions import versions
from imil.notebook.reading_frame import reader_named
from imil.notebook.run_view import RunView
from imil.reader_panel import PANEL, ReaderPanel
from imil.round_options import CHOICE, GRID_SIZE, IMIL_EPOCH, NUM_OUTLIERS, check_epochs
from imil.round_schedule import check_no_rounds, say_rounds_after, why_open
from imil.rounds import Say, check_choice, restore, run_round
from imil.store import Store


class IMIL(keras.callbacks.Callback):
    """The paper's training callback (section 3.1), for `model.fit`.

    A training that is resumed (`initial_epoch`, or Keras' BackupAndRestore) finds earlier
    corrections in the store, and a round that was stopped goes on where it was.

    Args:
        samples: what `model.fit` draws from, through `Batches`.
        ask: the reader, such as `imil.readers.Console("Dr. Lee", folder)`, or `"notebook"`, see
            `imil.notebook.Notebook`.
        store: file of the store, or an open `Store`.
        run: name of this training in the store.
        imil_epoch: after how many completed epochs a round is held; one number, or several.
        num_outliers: number of cases in a round (paper: 20).
        grid_size: 4 for 4×4, or "4x6" (paper: 4).
        layer, batch_size, outputs: of the model, see `KerasModel`.
        say: receives a line of text for the person who is watching.
        choice: name of the function in `imil.choices.CHOICES` that chooses the cases.
        providers: what that choice needs beyond predictions, see `imil.rounds.run_round`.
        seed: of the generator that the choice is given.
        panel: the readers together; its fusion must not be `soft`.
        deadline: time after which a round at a page closes, such as `48h`; None: it stays open.
    Raises: SettingsError: a setting is out of range, or there is no such choice.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        ask: Reader | str,
        *,
        store: Store | Path | str,
        run: str = "run",
        imil_epoch: int | Sequence[int] = IMIL_EPOCH,
        num_outliers: int = NUM_OUTLIERS,
        grid_size: int | str | Grid = GRID_SIZE,
        layer: str | None = None,
        batch_size: int = 64,
        outputs: Outputs = "auto",
        say: Say = print,
        choice: str = CHOICE,
        providers: Mapping[str, Provider] | None = None,
        seed: int = 0,
        panel: ReaderPanel = PANEL,
        deadline: str | None = None,
    ) -> None:
        super().__init__()
        self.imil_epoch = check_epochs(imil_epoch)
        self.settings = RoundSettings(
            num_outliers, Grid.parse(grid_size), choice, seed=seed, panel=panel, deadline=deadline
        )
        if panel.fusion == "soft":
            raise SettingsError(
                "in Keras a square is black or it is not, and the fusion 'soft' gives shares: give "
                "another fusion such as majority"
            )
        self.samples, self.run, self.say = samples, run, say
        self._how: dict[str, Any] = {"layer": layer, "batch_size": batch_size, "outputs": outputs}
        self.providers = dict(providers or {})
        check_choice(self.settings, self.providers)
        check_classes(choice, samples.labels, samples.class_names)
        self.store = store if isinstance(store, Store) else Store(store)
        self.ask = reader_named(ask, self.store)
        self.store.add_run(
            run,
            class_names=samples.class_names,
            settings={"imil_epoch": list(self.imil_epoch), **self.settings.as_dict()},
            versions=versions("keras", "jax", "tensorflow"),
        )
        self._asked: KerasModel | None = None  # of the training that runs
        self._begun = 0  # epochs that `Batches` had begun before
        self._draws_checked = False

    def _repr_html_(self) -> str:
        """The rounds so far as a notebook shows them."""
        return RunView(self.store, self.run)._repr_html_()

    def on_train_begin(self, logs: Any = None) -> None:
        """Have the next epoch begin as the first one of a training."""
        self._asked, self._begun, self._draws_checked = None, self.samples.epochs_begun, False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before the first: put back what earlier rounds corrected, and hold a round that is due.

        Raises: SettingsError: the run has rounds of an earlier training, or the model cannot be
            explained. ShapeError: the model's output is not (B, K).
        """
        if self._asked is not None:
            return
        model = KerasModel(self.model, **self._how)
        model.check(self.samples)
        say_rounds_after(self.imil_epoch, self.params["epochs"], self.say)
        held = [round_.epoch for round_ in self.store.rounds(self.run)]
        if not epoch:
            check_no_rounds(self.store, self.run, held)
        self._asked = model
        restore(self.samples, self.store, run=self.run, epoch=epoch)
        for late in self.imil_epoch:
            if late < epoch and late not in held:
                self.say(f"No round will be held after epoch {late}: {epoch} are done already.")
        if epoch in held or epoch in self.imil_epoch:
            self._hold_round(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before the first step, check that what is drawn can change.

        Raises: SettingsError: it cannot.
        """
        if self._draws_checked:
            return
        if self.samples.epochs_begun == self._begun:
            raise SettingsError(
                "model.fit does not draw from the Batches of this CorrectedDataset, and would "
                "never see a correction: give model.fit(Batches(samples)), not arrays, a generator "
                "or a tf.data.Dataset made of it"
            )
        steps, batches = self.params["steps"], self.samples.batches
        if steps not in (None, batches):
            raise SettingsError(
                f"steps_per_epoch is {steps}, and an epoch has {batches} batches: leave it out, "
                "for Keras would draw batches ahead of a round"
            )
        self._draws_checked = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hold the round that is due after this epoch.

        Raises: RoundPaused: the reader stopped; resume with `initial_epoch` to continue.
        """
        if epoch + 1 in self.imil_epoch:
            self._hold_round(epoch + 1)

    def _hold_round(self, epoch: int) -> Round:
        assert self._asked is not None
        round_ = run_round(
            self._asked,
            self.samples,
            self.ask,
            self.store,
            run=self.run,
            epoch=epoch,
            settings=self.settings,
            providers=self.providers,
            say=self.say,
        )
        if round_.state == "open" and not round_.settings.live:
            raise RoundPaused(why_open(self.ask, self.store, round_))
        return round_
