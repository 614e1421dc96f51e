"""What a treatment makes of a round's readings: for single samples, and for every image."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imil.atomic_files import write_json
from imil.cases import Correction, Reading, Round
from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch import CorrectedDataset, TorchModel
from imil.run_folder import RunFolder
from imil.store import Store
from imil.treatments import Field, Treatment
from imil.treatments.treatment import selected_squares

Say = Callable[[str], object]
FIELD_STREAM = 1  # of the run's seed and the epoch: the stream of random numbers for `field`


class TreatmentUpdate:
    """Asks a treatment after each round for `relevance` and `field`, and keeps what it says.

    Both are in checkpoints, since the model of an earlier round cannot be asked again.

    Args:
        treatment: says which squares of which samples matter.
        samples: the training set.
        model: the model that the round asked.
        store: where the rounds' readings are.
        folder: of the run, where the evidence is written.
        seed: of the run.
        set_field: takes the squares that the model sees from now on.
        say: takes a line for the person who is watching.
    """

    def __init__(
        self,
        treatment: Treatment,
        samples: CorrectedDataset,
        model: TorchModel,
        store: Store,
        *,
        folder: RunFolder,
        seed: int,
        set_field: Callable[[Grid, Sequence[int]], object],
        say: Say,
    ) -> None:
        self._treatment, self._samples, self._model, self._store = treatment, samples, model, store
        self._folder, self._seed, self._set_field, self._say = folder, seed, set_field, say
        self._selected: dict[int, list[Any]] = {}  # position -> rows, columns, squares
        self._field: list[Any] | None = None  # rows, columns, squares
        self._refused = False  # by the readings of the newest round

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"selected": self._selected, "field": self._field, "refused": self._refused}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint holds; `restore` applies it."""
        self._selected, self._field = dict(state["selected"]), state["field"]
        self._refused = state["refused"]

    def restore(self) -> None:
        """Apply what earlier rounds led to, after the corrections of the readings."""
        for i, (rows, cols, squares) in self._selected.items():
            self._samples.correct(i, Correction(Grid(rows, cols), tuple(squares)))
        if self._field is not None:
            rows, cols, squares = self._field
            self._set_field(Grid(rows, cols), squares)

    def after_round(self, round_: Round | None) -> None:
        """Take up a round's readings; nothing if none was held."""
        if round_ is None:
            return
        self._update_relevance(round_)
        self._update_field(round_, round_.epoch)
        self.restore()

    def after_epoch(self, epoch: int) -> None:
        """Ask for the field again 1, 2, 4, 8 … epochs after the newest round."""
        rounds = [r for r in self._store.rounds() if r.epoch <= epoch and r.state == "applied"]
        since = epoch - rounds[-1].epoch if rounds else 0
        if since > 0 and since & (since - 1) == 0 and not self._refused:
            self._update_field(rounds[-1], epoch)

    def _update_relevance(self, round_: Round) -> None:
        if type(self._treatment).relevance is Treatment.relevance:
            return
        readings = self._readings([round_])
        relevance = self._treatment.relevance(readings, self._model, self._samples) or {}
        for i, squares in relevance.items():
            self._selected[i] = [*squares.shape, list(selected_squares(squares))]

    def _update_field(self, round_: Round, epoch: int) -> None:
        if type(self._treatment).field is Treatment.field:
            return
        grid = round_.settings.grid
        rounds = [
            earlier
            for earlier in self._store.rounds(round_.run)
            if earlier.epoch <= round_.epoch and earlier.settings.grid == grid
        ]
        rng = np.random.default_rng([self._seed, epoch, FIELD_STREAM])
        rows, cols, squares = self._field or [0, 0, []]
        previous = Field(grid, tuple(squares)) if (rows, cols) == (grid.rows, grid.cols) else None
        readings = self._readings(rounds)
        self._refused = False
        try:
            field = self._treatment.field(readings, grid, self._model, self._samples, rng, previous)
        except SettingsError as error:
            self._refused = True
            self._record(epoch, {"sentence": f"The treatment changes nothing: {error}."})
            return
        if field is None or (epoch > round_.epoch and not self._changes(field)):
            return
        self._take(epoch, field)

    def _changes(self, field: Field) -> bool:
        """Whether the model would see other squares than it does."""
        every = range(1, field.grid.squares + 1)
        return list(field.squares) != list(every if self._field is None else self._field[2])

    def _take(self, epoch: int, field: Field) -> None:
        grid = field.grid
        self._record(epoch, {"grid": [grid.rows, grid.cols], **field.evidence})
        every = len(field.squares) == grid.squares
        self._field = None if every else [grid.rows, grid.cols, list(field.squares)]
        self._set_field(grid, field.squares)

    def _record(self, epoch: int, evidence: dict[str, Any]) -> None:
        """Say what was decided, and add it to the run's file; an epoch that is repeated, once."""
        self._say(evidence["sentence"])
        path = self._folder.treatment
        rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        rows = [row for row in rows if row["epoch"] < epoch]
        write_json(path, [*rows, {"epoch": epoch, **evidence}])

    def _readings(self, rounds: Sequence[Round]) -> dict[int, Reading]:
        """Position of the sample -> its newest reading in these rounds."""
        positions = {self._samples.key(i): i for i in range(len(self._samples))}
        readings = {}
        for round_ in rounds:
            current = self._store.newest_readings(round_.id)
            for case in self._store.cases(round_.id):
                if case.id in current and case.key in positions:
                    readings[positions[case.key]] = current[case.id]
        return readings
