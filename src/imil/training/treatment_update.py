"""What a treatment selects beyond the readings of a round, in the table and in checkpoints."""

from __future__ import annotations

from typing import Any

from imil.cases import Kept, Round
from imil.grid import Grid
from imil.pytorch import CorrectedDataset, TorchModel
from imil.store import Store
from imil.treatments import Treatment
from imil.treatments.treatment import selected_squares


class RelevanceUpdate:
    """Calls a treatment's `relevance` after each round, and keeps what it selects.

    Args:
        treatment: may select squares of any sample.
        samples: the training set.
        model: the model that the round asked.
        store: where the round's readings are.
    """

    def __init__(
        self, treatment: Treatment, samples: CorrectedDataset, model: TorchModel, store: Store
    ) -> None:
        self._treatment, self._samples = treatment, samples
        self._model, self._store = model, store
        # in checkpoints, for the model of a round cannot be asked later: position -> grid, squares
        self.selected: dict[int, list[Any]] = {}

    def after_round(self, round_: Round | None) -> None:
        """Take up what the treatment makes of a round's readings; nothing if none was held."""
        if round_ is None or type(self._treatment).relevance is Treatment.relevance:
            return
        positions = {self._samples.key(i): i for i in range(len(self._samples))}
        current = self._store.newest_readings(round_.id)
        readings = {
            positions[case.key]: current[case.id]
            for case in self._store.cases(round_.id)
            if case.id in current and case.key in positions
        }
        relevance = self._treatment.relevance(readings, self._model, self._samples) or {}
        for i, squares in relevance.items():
            self.selected[i] = [*squares.shape, list(selected_squares(squares))]
        self.restore()

    def restore(self) -> None:
        """Put back what was selected, after the corrections of the readings."""
        for i, (rows, cols, squares) in self.selected.items():
            self._samples.correct(i, Kept(Grid(rows, cols), tuple(squares)))
