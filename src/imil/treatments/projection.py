"""A direction in feature space that only irrelevant squares move is taken out of the last layer.

The model is not trained for it: the direction comes from pairs of the same image with the squares
of one class and of another, and a projection before a linear layer is another linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import Reading, Samples
from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments.option_checks import check_below_one, check_range
from imil.treatments.predicted import (
    EVEN,
    IRRELEVANT,
    MOST_RELIANCE,
    evidence_of,
    misleading_squares,
    predict_relevance,
    relied_on,
    squares_where,
)
from imil.treatments.trained_layer import get_layer, set_layer
from imil.treatments.treatment import Treatment

SAMPLES = 160  # images whose squares are exchanged, as to measure the reliance
FLAT = 1e-9  # of the longest shift of the features: shorter ones are rounding
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Project(Treatment):
    """Projects out of the trained model's features what irrelevant squares say about the class.

    Training images are given the irrelevant squares that the model relies on from an image of each
    class in turn. How the mean features then differ between classes spans the directions that are
    projected out before the last layer, as part of its weights. The features' means along these
    directions stay as they are.

    Args:
        irrelevant: a square is irrelevant that at most this share of the readings selected,
            in [0, 1).
        reliance: how far the model must rely on an irrelevant square, in multiples of the share
            that each square would have if all counted the same; 0 takes every irrelevant square.
    Raises: SettingsError: an option is out of range.
    Source: Anders et al. 2022 ("Finding and Removing Clever Hans"), projective class artifact
        compensation; the direction from pairs of exchanged images is our own.
    """

    irrelevant: float = IRRELEVANT
    reliance: float = EVEN

    def __post_init__(self) -> None:
        check_below_one("irrelevant", self.irrelevant)
        check_range("reliance", self.reliance, 0, MOST_RELIANCE)

    def check(self, model: Any, samples: Any, grid: Grid) -> None:
        """Raises: SettingsError: no linear last layer, or all images are of one class."""
        model.last_layer(samples)
        if len(np.unique(samples.labels)) < 2:
            raise SettingsError(
                "project exchanges squares between classes, and all training images are of one "
                "class: choose another treatment"
            )

    def finish(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Project the directions out of the last layer; returns the evidence.

        Raises: SettingsError: the readings do not say which squares are irrelevant.
        """
        relevance = predict_relevance(readings, grid, model, samples, rng)
        misleading = misleading_squares(readings, grid, self.irrelevant)
        squares = squares_where((relevance.squares[0] <= self.irrelevant) | misleading)
        measured = None
        if self.reliance and squares:
            measured, relied = relied_on(model, samples, grid, squares, self.reliance, rng)
            squares = tuple(sorted(relied))
        evidence = {
            "relevance": evidence_of(relevance),
            "squares": list(squares),
            "reliance": None if measured is None else asdict(measured),
        }
        if not squares:
            which = "that the readings call irrelevant"
            sentence = f"The model relies on no square {which}: nothing is projected out."
            return {"sentence": sentence, **evidence}
        means = mean_features(model, samples, grid, squares, rng)
        directions = spanned(means)
        layer = model.last_layer(samples)
        set_layer(layer, *projected(*get_layer(layer), directions, means.mean(axis=0)))
        count = f"{len(directions)} direction{'s' if len(directions) > 1 else ''}"
        sentence = (
            f"{count} of the model's features, which what lies in {_named(squares)} moves, "
            f"projected out before its last layer; {relevance}."
        )
        return {"sentence": sentence, "directions": len(directions), **evidence}


def mean_features(
    model: Any, samples: Any, grid: Grid, squares: Sequence[int], rng: np.random.Generator
) -> Floats:
    """Mean inputs of the last layer, (K, D), over the same images with squares of each class.

    Args:
        model, samples, grid, rng: as for `Treatment.field`.
        squares: numbers, from 1, that come from another image.
    """
    rows = rng.permutation(len(samples.labels))[:SAMPLES].tolist()
    means = []
    for label in np.unique(samples.labels):
        donors = rng.choice(np.flatnonzero(samples.labels == label), len(rows)).tolist()

        def exchanged(views: torch.Tensor, start: int, donors: list[int] = donors) -> torch.Tensor:
            others = model.views(samples, donors[start : start + len(views)])
            mask = torch.from_numpy(grid.mask(squares, *views.shape[2:])).to(views.device)
            return torch.where(mask, others, views)

        means.append(model.last_inputs(samples, rows, exchanged).mean(axis=0, dtype=np.float64))
    return np.stack(means)


def spanned(means: Floats) -> Floats:
    """Orthonormal directions (R, D) that span the differences between rows (K, D).

    >>> np.abs(spanned(np.array([[1.0, 2.0], [3.0, 2.0]]))).round(6).tolist()
    [[1.0, 0.0]]
    """
    _, lengths, directions = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    longest = lengths.max(initial=0.0)
    result: Floats = directions[lengths > FLAT * longest] if longest > 0 else directions[:0]
    return result


def projected(
    weights: Floats, intercepts: Floats, directions: Floats, centre: Floats
) -> tuple[Floats, Floats]:
    """Weights and intercepts of a layer whose input is projected first.

    Along the directions every input x becomes that of the centre c: x - UᵀU (x - c).

    Args:
        weights: (D, K).
        intercepts: (K,).
        directions: U, orthonormal rows (R, D).
        centre: c, (D,).
    Source: Anders et al. 2022, eq. 7.
    """
    taken = directions.T @ (directions @ weights)
    return weights - taken, intercepts + centre @ taken


def _named(squares: Sequence[int]) -> str:
    return f"square{'s' if len(squares) > 1 else ''} {', '.join(map(str, squares))}"
