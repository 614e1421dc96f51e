"""What a round's readings predict for all training images, and what the model relies on there.

Shared by the treatments that act on more than the images that were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Reading, Samples
from imil.grid import Grid
from imil.treatments.relevance import By, Relevance, propagate
from imil.treatments.reliance import Reliance, measure_reliance

IRRELEVANT = 0.1  # a square is irrelevant that at most this share of the readings selected
EVEN = 2.5  # times the share that a square would have if all squares counted the same
MOST_RELIANCE = 4096.0  # times that share, where of 64×64 squares one alone counts
MISLEADING = 2  # readings, at least; one alone may be a slip of the hand
FAR = 4.0  # standard errors; p < 0.001 also after correction for 16 squares


def focused(readings: Mapping[int, Reading]) -> dict[int, Reading]:
    """The readings that tell where to look: by selected squares, by misleading ones, or both."""
    return {i: reading for i, reading in readings.items() if reading.verdict == "focus"}


def marked(lists: Iterable[Sequence[int]], grid: Grid) -> NDArray[np.bool_]:
    """Which squares each of the lists has, bool (lists, S).

    >>> marked([(1,), ()], Grid(1, 2)).tolist()
    [[True, False], [False, False]]
    """
    rows = [[square in squares for square in range(1, grid.squares + 1)] for squares in lists]
    return np.array(rows, bool).reshape(len(rows), grid.squares)


def misleading_squares(
    readings: Mapping[int, Reading], grid: Grid, share: float
) -> NDArray[np.bool_]:
    """Which squares the readings call misleading in all images, bool (S,).

    Those that at least two of them, and at least this share, mark so, if fewer select them.
    """
    focus = focused(readings).values()
    misleading = marked([reading.misleading for reading in focus], grid).sum(axis=0)
    selected = marked([reading.squares for reading in focus], grid).sum(axis=0)
    enough = misleading >= max(MISLEADING, share * len(focus))
    result: NDArray[np.bool_] = enough & (misleading > selected)
    return result


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
    selected = {i: reading.squares for i, reading in focused(readings).items() if reading.squares}
    features = None if by == "position" else model.features(samples, grid=grid)
    rows = np.array(list(selected), np.intp)
    known = marked(selected.values(), grid)
    return propagate(known, n=len(samples), by=by, features=features, rows=rows, rng=rng)


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
