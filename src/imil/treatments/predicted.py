"""What a round's readings predict for all training images, and what the model relies on there.

Shared by the treatments that act on more than the images that were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Reading, Samples
from imil.grid import Grid
from imil.treatments.relevance import By, Relevance, propagate
from imil.treatments.reliance import Reliance, measure_reliance

IRRELEVANT = 0.1  # a square is irrelevant that at most this share of the readings selected
MISLEADING = 2  # readings, at least; one alone may be a slip of the hand
EVEN = 2.5  # times the share that a square would have if all squares counted the same
MOST_RELIANCE = 4096.0  # times that share, where of 64×64 squares one alone counts
FAR = 4.0  # standard errors; p < 0.001 also after correction for 16 squares


def focused(readings: Mapping[int, Reading]) -> dict[int, Reading]:
    """The readings that select squares."""
    return {i: reading for i, reading in readings.items() if reading.verdict == "focus"}


def predict_relevance(
    readings: Mapping[int, Reading],
    grid: Grid,
    model: Any,
    samples: Samples,
    rng: np.random.Generator,
    by: By = "position",
) -> Relevance:
    """The relevance of every square of every training image.

    Args:
        readings, grid, model, samples, rng: as for `Treatment.field`.
        by: what a square is known by.
    Raises: SettingsError: fewer than 5 readings select squares, or the prediction is no better
        than chance on readings left out.
    """
    # misleading squares alone say nothing about the others
    focus = {i: reading for i, reading in focused(readings).items() if reading.squares}
    selected = _marked([reading.squares for reading in focus.values()], grid)
    features = None if by == "position" else model.features(samples, grid=grid)
    rows = np.array(list(focus), np.intp)
    return propagate(selected, n=len(samples), by=by, features=features, rows=rows, rng=rng)


def misleading_squares(
    readings: Mapping[int, Reading], grid: Grid, share: float
) -> NDArray[np.bool_]:
    """Which squares enough readings mark as misleading, and fewer select, bool (S,).

    Args:
        share: of the readings, in [0, 1); at least two are needed.
    """
    focus = focused(readings).values()
    marked = _marked([reading.misleading for reading in focus], grid).sum(axis=0)
    selected = _marked([reading.squares for reading in focus], grid).sum(axis=0)
    enough: NDArray[np.bool_] = marked >= max(MISLEADING, share * len(focus))
    return enough & (marked > selected)


def relied_on(
    model: Any,
    samples: Any,
    grid: Grid,
    squares: Sequence[int],
    times: float,
    rng: np.random.Generator,
) -> tuple[Reliance, set[int]]:
    """How far the model relies on these squares, and those on which it does.

    Args:
        times: the least reliance, in multiples of the share that each square would have if all
            counted the same.
    Raises: SettingsError: fewer than two classes among the labels.
    """
    measured = measure_reliance(
        model.logits,
        lambda rows: model.views(samples, rows),
        samples.labels,
        grid,
        squares,
        rng,
    )
    return measured, set(measured.relied_on(least=times / grid.squares, z=FAR))


def _marked(lists: Sequence[Sequence[int]], grid: Grid) -> NDArray[np.bool_]:
    """Which squares each of the lists has, (lists, S)."""
    every = range(1, grid.squares + 1)
    rows = [[square in squares for square in every] for squares in lists]
    return np.array(rows, bool).reshape(len(lists), grid.squares)


def squares_where(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    """The numbers, from 1, of the squares that are chosen, bool (S,).

    >>> squares_where(np.array([False, True, True]))
    (2, 3)
    """
    return tuple((np.flatnonzero(chosen) + 1).tolist())


def evidence_of(relevance: Relevance) -> dict[str, Any]:
    """How good the prediction is, as plain JSON values."""
    return {
        "by": relevance.by,
        "auroc": relevance.auroc,
        "interval": [relevance.low, relevance.high],
        "readings": relevance.cases,
    }
