"""Squares that the model may not use are black in every image, in training and in use.

Which they are takes two kinds of evidence. Readers say which squares are irrelevant: those that
almost nobody selected, or that several marked as misleading. Exchanging these squares between
training images shows on which of them the model relies. A square is covered where both agree, so
films without a shortcut lose nothing, and a corner letter is gone from every film, also in the
hospital where the model is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Reading, Samples
from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments.relevance import Relevance, propagate
from imil.treatments.reliance import Reliance, measure_reliance
from imil.treatments.treatment import Field, Treatment

EVEN = 2.5  # times the share that a square would have if all squares counted the same
MISLEADING = 2  # readings, at least; one alone may be a slip of the hand
FAR = 4.0  # standard errors; p < 0.001 also after correction for 16 squares


@dataclass(frozen=True)
class FieldOfView(Treatment):
    """Covers what readers call irrelevant and the model relies on.

    Args:
        irrelevant: a square is irrelevant that at most this share of the readings selected,
            in [0, 1). So is one that at least two readings, and at least this share, mark as
            misleading, if fewer select it.
        reliance: how far the model must rely on an irrelevant square for it to be covered, in
            multiples of the share that each square would have if all counted the same; 0 covers
            every irrelevant square.
    Raises: SettingsError: a value out of range.
    """

    irrelevant: float = 0.1
    reliance: float = EVEN

    def __post_init__(self) -> None:
        if not 0 <= self.irrelevant < 1:
            raise SettingsError(f"irrelevant is {self.irrelevant}: give a share from 0 to below 1")
        if not self.reliance >= 0:
            raise SettingsError(f"reliance is {self.reliance}: give 0 or more")

    def field(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
        previous: Field | None = None,
    ) -> Field:
        """The squares that stay, with the evidence.

        Raises: SettingsError: the readings do not say which squares are irrelevant.
        """
        focus = [reading for reading in readings.values() if reading.verdict == "focus"]
        # misleading squares alone say nothing about the others
        selected = _marked([reading.squares for reading in focus if reading.squares], grid)
        misleading = self._misleading(focus, grid)
        relevance = propagate(selected, n=len(samples), rng=rng)
        prior = relevance.squares[0]
        irrelevant = [int(i) + 1 for i in np.flatnonzero((prior <= self.irrelevant) | misleading)]
        measured = None
        covered = set(irrelevant)
        if self.reliance > 0 and irrelevant:
            measured = measure_reliance(
                model.logits,
                lambda rows: model.views(samples, rows),
                samples.labels,
                grid,
                irrelevant,
                rng,
            )
            covered = set(measured.relied_on(least=self.reliance / grid.squares, z=FAR))
        every = set(range(1, grid.squares + 1))
        if previous is not None:  # a model cannot rely on what is covered: it stays so
            covered |= (every - set(previous.squares)) & set(irrelevant)
        evidence = _evidence(relevance, irrelevant, measured, tuple(sorted(covered)))
        if misleading.any():  # what nobody marked is not in the evidence
            evidence["misleading"] = [int(i) + 1 for i in np.flatnonzero(misleading)]
        return Field(grid, tuple(sorted(every - covered)), evidence)

    def _misleading(self, focus: Sequence[Reading], grid: Grid) -> NDArray[np.bool_]:
        """Which squares enough of these readings mark as misleading, (squares,)."""
        marked = _marked([reading.misleading for reading in focus], grid).sum(axis=0)
        selected = _marked([reading.squares for reading in focus], grid).sum(axis=0)
        fewest = max(MISLEADING, self.irrelevant * len(focus))
        enough: NDArray[np.bool_] = (marked >= fewest) & (marked > selected)
        return enough


def _marked(lists: Sequence[Sequence[int]], grid: Grid) -> NDArray[np.bool_]:
    """Which squares each of the lists has, (lists, squares)."""
    every = range(1, grid.squares + 1)
    rows = [[square in squares for square in every] for squares in lists]
    return np.array(rows, bool).reshape(len(lists), grid.squares)


def _evidence(
    relevance: Relevance,
    irrelevant: list[int],
    measured: Reliance | None,
    covered: tuple[int, ...],
) -> dict[str, Any]:
    """What the decision rests on: plain JSON values, and a sentence for people."""
    names = ", ".join(map(str, covered))
    if not irrelevant:
        sentence = "Every square was selected in some of the readings: no square is covered."
    elif measured is None:
        sentence = f"Squares {names} are black in every image: the readings call them irrelevant."
    elif covered:
        sentence = (
            f"Square{'s' if len(covered) > 1 else ''} {names} black in every image from now on: "
            "the readings call what lies there irrelevant, and the model relied on it."
        )
    else:
        sentence = (
            f"The model relies on none of the {len(irrelevant)} squares that the readings call "
            "irrelevant: no square is covered."
        )
    return {
        "sentence": sentence,
        "selected": relevance.squares[0].round(4).tolist(),
        "relevance": {
            "by": relevance.by,
            "auroc": relevance.auroc,
            "interval": [relevance.low, relevance.high],
            "readings": relevance.cases,
        },
        "irrelevant": irrelevant,
        "reliance": None if measured is None else asdict(measured),
        "covered": list(covered),
    }
