"""What a treatment makes of a round's readings: for single samples, and for every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imil.cases import Correction, Reading, Round
from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.model import TorchModel
from imil.store import Store
from imil.treatments import Field, Selection, Treatment

Record = Callable[[int, dict[str, Any]], object]
# streams of random numbers of the run's seed and the epoch, for each moment of a treatment
STREAMS = {"field": 1, "relevance": 2, "finish": 3}


class TreatmentUpdate:
    """Asks a treatment after each round for `relevance` and `field`, and at the end for `finish`.

    What it says after a round is in checkpoints, since the model of an earlier round cannot be
    asked again.

    Args:
        treatment: says which squares of which samples matter.
        samples: the training set.
        model: the model that the round asked.
        store: where the rounds' readings are.
        run: name of the run in the store.
        seed: of the run.
        set_field: takes the squares that the model sees from now on.
        record: takes the completed epochs and what was decided then: plain JSON values, with a
            `sentence` for people. An epoch that is repeated is recorded again.
        counts_from: after how many completed epochs the readings of a round are there, where
            training went on while it was read; None: at the round.
    """

    def __init__(
        self,
        treatment: Treatment,
        samples: CorrectedDataset,
        model: TorchModel,
        store: Store,
        *,
        run: str,
        seed: int,
        set_field: Callable[[Grid, Sequence[int]], object],
        record: Record,
        counts_from: Callable[[Round], int] | None = None,
    ) -> None:
        self._treatment, self._samples, self._model, self._store = treatment, samples, model, store
        self._run, self._seed, self._set_field, self._record = run, seed, set_field, record
        self._counts_from = counts_from or _epoch_of
        # position -> rows, columns, squares; None: as it was, whatever its reading says
        self._selected: dict[int, list[Any] | None] = {}
        self._field: list[Any] | None = None  # rows, columns, squares
        self._refused = False  # by the readings of the newest round

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"selected": self._selected, "field": self._field, "refused": self._refused}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint holds; `restore` applies it."""
        # JSON has made text of the positions
        self._selected = {int(i): kept for i, kept in state["selected"].items()}
        self._field = state["field"]
        self._refused = state["refused"]

    def restore(self) -> None:
        """Apply what earlier rounds led to, after the corrections of the readings."""
        for i, kept in self._selected.items():
            correction = None if kept is None else Correction(Grid(*kept[:2]), tuple(kept[2]))
            self._samples.correct(i, correction)
        if self._field is not None:
            rows, cols, squares = self._field
            self._set_field(Grid(rows, cols), squares)

    def after_round(self, round_: Round | None) -> None:
        """Take up a round's readings; nothing if none was held, or if it is still read."""
        if round_ is None or not self._treatment.decides_after_round:
            return
        if round_.state == "open":
            return
        self._update(round_, self._counts_from(round_))
        self.restore()

    def after_epoch(self, epoch: int) -> None:
        """Ask again 1, 2, 4, 8 … epochs after the newest round."""
        if not self._treatment.decides_after_round:
            return
        rounds = self._applied(epoch)
        since = epoch - self._counts_from(rounds[-1]) if rounds else 0
        if since > 0 and since & (since - 1) == 0 and not self._refused:
            self._update(rounds[-1], epoch)
            self.restore()

    def finish(self, epoch: int) -> None:
        """Let the treatment change the trained model, after the last of so many epochs."""
        self.restore()  # a run that was stopped here has had no epoch that did so
        rounds = self._applied(epoch)
        if not rounds or not self._implements("finish"):
            return
        readings, grid = self._readings_until(rounds[-1], epoch)
        rng = self._rng(epoch, "finish")
        try:
            evidence = self._treatment.finish(readings, grid, self._model, self._samples, rng)
        except SettingsError as error:
            evidence = {"sentence": f"The trained model stays as it is: {error}."}
        if evidence is not None:
            self._record(epoch, dict(evidence))

    def _applied(self, epoch: int) -> list[Round]:
        """The rounds whose readings are there after that epoch, in the order in which they came."""
        rounds = [r for r in self._store.rounds(self._run) if r.state == "applied"]
        there = [r for r in rounds if self._counts_from(r) <= epoch]
        return sorted(there, key=self._order)

    def _order(self, round_: Round) -> tuple[int, int]:
        return self._counts_from(round_), round_.epoch

    def _implements(self, moment: str) -> bool:
        return _implements(self._treatment, moment)

    def _readings_until(self, round_: Round, epoch: int) -> tuple[dict[int, Reading], Grid]:
        """The newest readings of all rounds until this one that have its grid, and the grid."""
        grid, last = round_.settings.grid, self._order(round_)
        until = [one for one in self._applied(epoch) if self._order(one) <= last]
        return self._readings([one for one in until if one.settings.grid == grid]), grid

    def _rng(self, epoch: int, moment: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, epoch, STREAMS[moment]])

    def _update(self, round_: Round, epoch: int) -> None:
        """Ask for both, and take what is new; where one is refused, neither changes."""
        self._refused = False
        selection, field = None, None
        readings, grid = self._readings_until(round_, epoch)
        given = readings, grid, self._model, self._samples
        try:
            if self._implements("relevance"):
                rng, previous = self._rng(epoch, "relevance"), self._selected_on(grid)
                selection = self._treatment.relevance(*given, rng, previous)
            if self._implements("field"):
                rng = self._rng(epoch, "field")
                field = self._treatment.field(*given, rng, self._field_on(grid))
        except SettingsError as error:
            self._refuse(epoch, readings, error)
            return
        again = epoch > self._counts_from(round_)
        if selection is not None and not (again and self._selects_the_same(selection)):
            self._take_selection(epoch, selection)
        if field is not None and not (again and not self._changes(field)):
            self._take_field(epoch, field)

    def _refuse(self, epoch: int, readings: dict[int, Reading], error: SettingsError) -> None:
        """Say why nothing changes, and leave images that were read as they were before."""
        self._refused = True
        if self._implements("relevance"):
            self._selected |= {i: None for i in readings if i not in self._selected}
        taken = self._field is not None or any(self._selected.values())
        what = "The treatment stays as it was" if taken else "The treatment changes nothing"
        self._record(epoch, {"sentence": f"{what}: {error}."})

    def _selected_on(self, grid: Grid) -> dict[int, tuple[int, ...]]:
        """Position -> squares that are kept until now, on this grid."""
        every = {i: kept for i, kept in self._selected.items() if kept is not None}
        shape = [grid.rows, grid.cols]
        return {i: tuple(kept[2]) for i, kept in every.items() if kept[:2] == shape}

    def _field_on(self, grid: Grid) -> Field | None:
        """What the model sees until now, on this grid."""
        rows, cols, squares = self._field or [0, 0, []]
        return Field(grid, tuple(squares)) if (rows, cols) == (grid.rows, grid.cols) else None

    def _selects_the_same(self, selection: Selection) -> bool:
        return self._selected | _table(selection) == self._selected

    def _take_selection(self, epoch: int, selection: Selection) -> None:
        self._selected |= _table(selection)
        if selection.evidence:
            grid = [selection.grid.rows, selection.grid.cols]
            self._record(epoch, {"grid": grid, **selection.evidence})

    def _changes(self, field: Field) -> bool:
        """Whether the model would see other squares than it does."""
        every = range(1, field.grid.squares + 1)
        return list(field.squares) != list(every if self._field is None else self._field[2])

    def _take_field(self, epoch: int, field: Field) -> None:
        grid = field.grid
        self._record(epoch, {"grid": [grid.rows, grid.cols], **field.evidence})
        every = len(field.squares) == grid.squares
        self._field = None if every else [grid.rows, grid.cols, list(field.squares)]
        self._set_field(grid, field.squares)

    def _readings(self, rounds: Sequence[Round]) -> dict[int, Reading]:
        """Position of the sample -> its newest reading in these rounds."""
        positions = {self._samples.key(i): i for i in range(len(self._samples))}
        readings = {}
        for round_ in rounds:
            current = self._store.current_readings(round_.id)
            for case in self._store.cases(round_.id):
                if case.id in current and case.key in positions:
                    readings[positions[case.key]] = current[case.id]
        return readings


def _table(selection: Selection) -> dict[int, list[Any] | None]:
    """Position -> rows, columns, squares: plain values for a checkpoint."""
    shape = [selection.grid.rows, selection.grid.cols]
    return {i: [*shape, list(squares)] for i, squares in selection.squares.items()}


def takes_rounds_whole(treatment: Treatment) -> bool:
    """Whether the treatment decides for all images from all readings of a round together."""
    decides = _implements(treatment, "relevance") or _implements(treatment, "field")
    return treatment.decides_after_round and decides


def _implements(treatment: Treatment, moment: str) -> bool:
    return getattr(type(treatment), moment) is not getattr(Treatment, moment)


def _epoch_of(round_: Round) -> int:
    return round_.epoch
