"""IMIL in your own training loop.

train = CorrectedDataset(raw, transform=augment, view=normalise)         # 1
imil = IMIL(train, model, ask, store="run/imil.sqlite", imil_epoch=70)   # 2
for epoch in range(100):
    ...                                                                  # train one epoch
    imil.after_epoch(epoch + 1)                                          # 3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imil.cases import Correction, Reader, Round, RoundSettings
from imil.choices import Provider, check_classes
from imil.errors import RoundPaused, SettingsError
from imil.grid import Grid
from imil.heat_map_names import AUTO
from imil.library_versions import versions
from imil.notebook.reading_frame import reader_named
from imil.notebook.run_view import RunView
from imil.predictions import Predictions, check_probabilities
from imil.pytorch.choice_providers import model_providers
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.fusion_check import check_fusion
from imil.pytorch.model import TorchModel
from imil.pytorch.outputs import OutputsOrAuto
from imil.pytorch.rank_check import check_rank
from imil.pytorch.training_start import check_one_process
from imil.pytorch.treatment_update import TreatmentUpdate
from imil.reader_panel import PANEL, ReaderPanel
from imil.round_options import (
    CHOICE,
    GRID_SIZE,
    IMIL_EPOCH,
    NUM_OUTLIERS,
    cases_of_round,
    check_budget,
    check_epochs,
)
from imil.round_schedule import check_has_rounds, check_no_rounds, why_open
from imil.rounds import Say, check_choice, restore, run_round
from imil.store import Store


class IMIL:
    """The paper's training callback (section 3.1), for a loop that you write.

    Nothing random is consumed and nothing in the model changes: with no outlier, training goes
    on bit for bit as without it.

    Args:
        samples: the training set that your `DataLoader` draws from.
        model: a module that returns logits (B, K), on the device where it trains; or a
            `TorchModel` of it, which has its own layer, batch_size and outputs.
        ask: the reader, such as `imil.readers.Console("Dr. Lee", folder)`, or `"notebook"`: the
            reading room below the cell of a notebook, see `imil.notebook.Notebook`.
        store: file of the store, or an open `Store`. Each reading is on disk in it before
            the next one is requested.
        run: name of this training in the store.
        imil_epoch: after how many completed epochs a round is held; one number, or several. None:
            only where you call `hold_round`.
        num_outliers: number of cases in a round (paper: 20).
        budget: number of cases of all rounds together, in place of `num_outliers`; None: none.
        grid_size: 4 for 4×4, or "4x6" (paper: 4).
        layer: the layer to explain, as in `model.named_modules()`; None: found automatically.
        heat_map: `auto`, `grad-cam` or `relevance`, see `TorchModel`.
        batch_size: images at a time when predicting.
        outputs: `logits` or `probabilities` of the model, see `TorchModel`; `auto`: logits, unless
            they look like probabilities, which is a question.
        say: receives a line of text for the person who is watching.
        choice: name of the function in `imil.choices.CHOICES` that chooses the cases.
        providers: what that choice needs beyond predictions, see `imil.rounds.run_round`. The
            model gives `features` and `out_of_fold_probs` if you do not.
        seed: of the generator that the choice is given.
        panel: the readers together: who they are, how many readings a case needs, and how their
            answers are merged.
        deadline: time after which a round at a page closes with the readings that are there, such
            as `48h`; None: it stays open.
    Raises: SettingsError: a setting is out of range, or there is no such choice.

    A new training needs a store, or a `run`, of its own: readings of another training's mistakes
    would correct this one unnoticed.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        model: nn.Module | TorchModel,
        ask: Reader | str,
        *,
        store: Store | Path | str,
        run: str = "run",
        imil_epoch: int | Sequence[int] | None = IMIL_EPOCH,
        num_outliers: int = NUM_OUTLIERS,
        budget: int | None = None,
        grid_size: int | str | Grid = GRID_SIZE,
        layer: str | None = None,
        heat_map: str = AUTO,
        batch_size: int = 64,
        outputs: OutputsOrAuto = "auto",
        say: Say = print,
        choice: str = CHOICE,
        providers: Mapping[str, Provider] | None = None,
        seed: int = 0,
        panel: ReaderPanel = PANEL,
        deadline: str | None = None,
    ) -> None:
        self.imil_epoch = () if imil_epoch is None else check_epochs(imil_epoch)
        self.settings = RoundSettings(
            num_outliers, Grid.parse(grid_size), choice, seed=seed, panel=panel, deadline=deadline
        )
        check_fusion(samples.treatment, self.settings)
        _check_budget(budget, self.imil_epoch, num_outliers)
        self.budget = budget
        self.samples, self.run, self.say = samples, run, say
        if isinstance(model, nn.Module):
            model = TorchModel(
                model, batch_size=batch_size, layer=layer, outputs=outputs, heat_map=heat_map
            )
        self.model = model
        self.providers = {**model_providers(model, samples, seed=seed), **(providers or {})}
        check_choice(self.settings, self.providers)
        check_classes(choice, samples.labels, samples.class_names)
        self.store = store if isinstance(store, Store) else Store(store)
        self.ask = reader_named(ask, self.store)
        self.store.add_run(
            run,
            class_names=samples.class_names,
            settings={
                "imil_epoch": list(self.imil_epoch),
                "budget": budget,
                **self.settings.as_dict(),
            },
            versions=versions(),
        )
        self._update = TreatmentUpdate(
            samples.treatment,
            samples,
            self.model,
            self.store,
            run=run,
            seed=seed,
            set_field=self._set_field,
            record=lambda _epoch, decision: say(decision["sentence"]),
        )
        self._before = tuple(round_.epoch for round_ in self.store.rounds(run))
        self._resumed = self._checked = self._has_state = False
        self.last_epoch = 0  # completed epochs, of this training
        self._held: list[int] = []  # after so many epochs, says the checkpoint
        self.gives_corrections_to_other_processes = False  # as rank 0 of `imil train` does

    def _repr_html_(self) -> str:
        """The rounds so far as a notebook shows them."""
        return RunView(self.store, self.run)._repr_html_()

    def __getstate__(self) -> dict[str, Any]:
        """Raises: SettingsError: it is to be copied or pickled."""
        raise SettingsError(
            "IMIL holds the reader and the store of one training and cannot be copied: give every "
            "training, such as each fold of a cross-validation, an IMIL and a store of its own"
        )

    def begin(self) -> None:
        """Check before training what a round needs.

        Raises:
            SettingsError: the run has rounds already and was not resumed; training runs in several
                processes; the named layer gives no map of the image, or no layer of the model
                does; the model returns probabilities and `outputs` is not given.
            ShapeError: the model's output is not (B, K), or a label is not one of its classes.
            DataError: the first image cannot be shown, or the first two have views of two sizes.
        """
        if not self._resumed:
            check_no_rounds(self.store, self.run, self._before)
        if not self._checked:
            if not self.gives_corrections_to_other_processes:
                check_one_process()
            if len(self.samples):
                check_rank(
                    self.samples.treatment, self.settings.grid, self.samples.view(0).ndim - 1
                )
            self.model.check(self.samples)
            self.samples.treatment.check(self.model, self.samples, self.settings.grid)
            if len(self.samples):
                self.samples.image(0)
            self._checked = True

    def after_epoch(
        self, epoch: int, predictions: Predictions | NDArray[np.float64] | None = None
    ) -> Round | None:
        """The round held after `epoch` completed epochs, or None where none is due.

        Args:
            predictions: of the original training images, where you have them already: as
                `TorchModel.predict` makes them, or their probabilities (N, K). They save the round
                a pass over the training set.
        Raises:
            RoundPaused: the reader stopped; call again with the same model to continue.
            SettingsError: the run has rounds from an earlier training, see `begin`; a later epoch
                was completed already; `predictions` are not probabilities, or not of these samples
                in their order.
            ShapeError: `predictions` are not (N, K).
        """
        if epoch < self.last_epoch:
            raise SettingsError(
                f"epoch {epoch} comes after epoch {self.last_epoch}, and an IMIL is of one "
                "training: to train anew, make another with a run or store of its own; to continue "
                "from a checkpoint, call restore"
            )
        self.begin()
        self.last_epoch = epoch
        if epoch in self.imil_epoch:
            return self.hold_round(epoch, predictions)
        self._update.after_epoch(epoch)
        return None

    def hold_round(
        self,
        epoch: int,
        predictions: Predictions | NDArray[np.float64] | None = None,
        *,
        num_outliers: int | None = None,
    ) -> Round | None:
        """The round after `epoch` completed epochs, whatever `imil_epoch` says.

        Args:
            predictions: as for `after_epoch`.
            num_outliers: number of cases; None: by the settings.
        Returns: None where the budget is used up.
        Raises: as `after_epoch`.
        """
        self.begin()
        settings = self._settings_at(epoch, num_outliers)
        if settings is None:
            self.say(f"No round is held after epoch {epoch}: all {self.budget} cases are used.")
            return None
        round_ = run_round(
            self.model,
            self.samples,
            self.ask,
            self.store,
            run=self.run,
            epoch=epoch,
            settings=settings,
            predictions=None if predictions is None else self._checked_predictions(predictions),
            providers=self.providers,
            say=self.say,
        )
        if round_.state == "open" and not round_.settings.live:
            raise RoundPaused(why_open(self.ask, self.store, round_))
        self._update.after_round(round_)
        return round_

    def finish(self, epoch: int) -> None:
        """Let the treatment change the trained model after the last of so many epochs.

        The treatments `last-layer` and `project` need it; for the others nothing happens.
        """
        self._update.finish(epoch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds: which rounds were held, and what the treatment decided.

        The readings are in the store. What a treatment decided for images that nobody read depends
        on the model of then. It can be written as JSON.
        """
        rounds = [round_.epoch for round_ in self.store.rounds(self.run)]
        return {"rounds": rounds, **self._update.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave; call `restore` afterwards."""
        self._update.load_state_dict(dict(state))
        self._held = list(state.get("rounds", ()))  # older checkpoints do not say
        self._has_state = True

    def restore(
        self, epoch: int, predictions: Predictions | NDArray[np.float64] | None = None
    ) -> Round | None:
        """Continue after `epoch` completed epochs: earlier corrections, then the round due now.

        A round that was stopped there is continued, also if `imil_epoch` does not have it.

        Args:
            predictions: as for `after_epoch`.
        Raises: as `after_epoch`; SettingsError: the treatment decided something after an earlier
            round, and its state was not loaded; or the store lacks a round that the state has.
        """
        check_has_rounds(self.store, self.run, self._held)
        self._resumed, self.last_epoch = True, epoch
        restore(self.samples, self.store, run=self.run, epoch=epoch)
        self._restore_decisions(epoch)
        held = {round_.epoch for round_ in self.store.rounds(self.run)}
        for late in self.imil_epoch:
            if late < epoch and late not in held:
                self.say(f"No round will be held after epoch {late}: {epoch} are done already.")
        if epoch in held:
            return self.hold_round(epoch, predictions)
        return self.after_epoch(epoch, predictions)

    def _restore_decisions(self, epoch: int) -> None:
        earlier = [round_ for round_ in self.store.rounds(self.run) if round_.epoch < epoch]
        treatment = self.samples.treatment
        if earlier and treatment.decides_after_round and not self._has_state:
            raise SettingsError(
                f"{type(treatment).__name__} decided after epoch {earlier[-1].epoch} what the "
                "model learns, which only a checkpoint can hold: save `state_dict()` with yours, "
                "and give it to `load_state_dict` before `restore`"
            )
        self._update.restore()

    def _set_field(self, grid: Grid, squares: Sequence[int]) -> None:
        whole = len(squares) == grid.squares
        self.samples.see(None if whole else Correction(grid, tuple(squares)))

    def _settings_at(self, epoch: int, num_outliers: int | None) -> RoundSettings | None:
        """The settings of the round after that epoch; None where no case is left for it."""
        if num_outliers is not None:
            return replace(self.settings, num_outliers=num_outliers)
        if self.budget is None:
            return self.settings
        rounds = self.store.rounds(self.run)
        if any(round_.epoch == epoch for round_ in rounds):
            return self.settings  # it has its cases
        used = sum(round_.cases for round_ in rounds if round_.epoch < epoch)
        later = sum(planned > epoch for planned in self.imil_epoch)
        cases = cases_of_round(self.budget, used, later + 1)
        return replace(self.settings, num_outliers=cases) if cases else None

    def _checked_predictions(self, given: Predictions | NDArray[np.float64]) -> Predictions:
        """Predictions of the samples, whose rows are probabilities."""
        expected = [self.samples.key(i) for i in range(len(self.samples))]
        if not isinstance(given, Predictions):
            given = Predictions(given, self.samples.labels, expected)
        check_probabilities(given.probs)
        if list(given.keys) != expected or (given.labels != self.samples.labels).any():
            raise SettingsError(
                f"`predictions` are not of the {len(expected)} training samples in their order: "
                "give those of `samples`, with their keys and labels"
            )
        return given


def _check_budget(budget: int | None, epochs: Sequence[int], num_outliers: int) -> None:
    """Raises: SettingsError: the budget does not suffice, or contradicts another setting."""
    if budget is None:
        return
    if not epochs:
        raise SettingsError(
            "a budget is split over the rounds of imil_epoch, which is None: give num_outliers to "
            "hold_round"
        )
    if num_outliers != NUM_OUTLIERS:
        raise SettingsError("budget and num_outliers contradict each other: give one of them")
    check_budget(budget, len(epochs))
