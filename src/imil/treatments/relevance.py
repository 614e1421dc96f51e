"""What readings of a few images say about the squares of every training image.

A reading says which squares of one image are relevant. Readings of some twenty images predict it
for all others: by position, where images are aligned (chest films are), by the model's own
features of a square, or by both. How well is measured on readings that the prediction has not
seen, and a prediction that is no better than chance is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError

By = Literal["position", "features", "both"]
BY: tuple[By, ...] = get_args(By)
FEWEST = 5  # readings; the interval of a cross-validation over fewer says nothing
PENALTY = 10.0  # of the squared weights of standardised features: hundreds, from some 300 squares
RESAMPLES = 1000  # of the cases, for the interval


@dataclass(frozen=True)
class Relevance:
    """The predicted relevance of squares, and how good the prediction is.

    Args:
        squares: float (N, S), in [0, 1]: of each of N training images and S squares, the
            probability that a reader would select it.
        by: what it was predicted from.
        auroc: of the prediction for the squares of cases that were left out, in [0, 1].
        low, high: its 99 % interval, from resampled cases.
        cases: readings that it was learnt from.
    """

    squares: NDArray[np.float64]
    by: By
    auroc: float
    low: float
    high: float
    cases: int

    def __str__(self) -> str:
        return (
            f"relevance of squares by {self.by} from {self.cases} readings: AUROC {self.auroc:.2f} "
            f"({self.low:.2f} to {self.high:.2f}) on readings left out"
        )


def propagate(
    selected: NDArray[np.bool_],
    *,
    n: int,
    by: By = "position",
    features: NDArray[np.floating] | None = None,
    rows: NDArray[np.intp] | None = None,
    rng: np.random.Generator,
) -> Relevance:
    """The relevance of every square of every training image, learnt from some readings.

    Args:
        selected: bool (R, S): the squares that R readings selected.
        n: number of training images, N.
        by: what a square is known by: its `position`, the model's `features`, or `both`.
        features: float (N, S, D) of all training images; for `features` and `both`.
        rows: int (R,): the training images that were read; for `features` and `both`.
        rng: for the resamples of the interval.
    Raises:
        SettingsError: fewer than 5 readings, or a prediction that is no better than chance.
        ShapeError: features or rows are missing, or do not fit.
    """
    if by not in BY:
        raise SettingsError(f"invalid relevance '{by}': expected one of {', '.join(BY)}")
    if len(selected) < FEWEST:
        raise SettingsError(
            f"{len(selected)} readings with selected squares are too few to predict which squares "
            f"of other images are relevant: at least {FEWEST} are needed"
        )
    if by == "position":
        every = np.broadcast_to(position_prior(selected), (n, selected.shape[1]))
        left_out = _left_out_by_position(selected)
    else:
        known = _described(features, rows, n, selected.shape, positions=by == "both")
        every = _fit(known[rows], selected)(known)
        left_out = _left_out_by_features(known[rows], selected)
    auroc, low, high = _auroc_interval(left_out, selected, rng)
    if not low > 0.5:
        raise SettingsError(
            f"the readings do not tell which squares of other images are relevant: by {by}, the "
            f"AUROC on readings left out is {auroc:.2f} ({low:.2f} to {high:.2f}), and chance is "
            "0.50; use a treatment of the read images alone, or read more cases"
        )
    return Relevance(np.asarray(every, np.float64), by, auroc, low, high, len(selected))


def position_prior(selected: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of readings that selected each square, (S,), in [0, 1].

    >>> position_prior(np.array([[True, False], [True, True]])).tolist()
    [1.0, 0.5]
    """
    shares: NDArray[np.float64] = selected.mean(axis=0, dtype=np.float64)
    return shares


def _left_out_by_position(selected: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the other readings that selected each square, (R, S)."""
    others: NDArray[np.float64] = (selected.sum(axis=0) - selected) / (len(selected) - 1)
    return others


def _described(
    features: NDArray[np.floating] | None,
    rows: NDArray[np.intp] | None,
    n: int,
    shape: tuple[int, ...],
    *,
    positions: bool,
) -> NDArray[np.float64]:
    """What is known of each square, standardised, with a constant: (N, S, D + 1 or D + 1 + S)."""
    readings, squares = shape
    if features is None or rows is None:
        raise ShapeError("features of all images and the rows of those read are needed")
    if features.ndim != 3 or features.shape[:2] != (n, squares) or len(rows) != readings:
        raise ShapeError(
            f"features {features.shape} and {len(rows)} rows do not fit: expected ({n}, {squares}, "
            f"D) and {readings}"
        )
    flat = features.reshape(n * squares, -1).astype(np.float64)
    spread = flat.std(axis=0)
    known = ((flat - flat.mean(axis=0)) / np.where(spread > 0, spread, 1)).reshape(n, squares, -1)
    parts = [known / np.sqrt(known.shape[2]), np.ones((n, squares, 1))]
    if positions:
        parts.append(np.broadcast_to(np.eye(squares), (n, squares, squares)))
    return np.concatenate(parts, axis=2)


def _fit(
    known: NDArray[np.float64], selected: NDArray[np.bool_]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A logistic regression with squared penalty: known (..., D) -> probability (...)."""
    from scipy.optimize import minimize  # here: it takes a tenth of a second to import
    from scipy.special import expit

    x, y = known.reshape(-1, known.shape[-1]), selected.ravel().astype(np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ weights
        value = np.logaddexp(0, z).sum() - y @ z + weights @ weights / (2 * PENALTY)
        return value, x.T @ (expit(z) - y) + weights / PENALTY

    weights = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda other: expit(other @ weights)


def _left_out_by_features(
    known: NDArray[np.float64], selected: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The prediction for each case from the readings of all others, (R, S)."""
    others = ~np.eye(len(selected), dtype=bool)
    return np.stack([_fit(known[o], selected[o])(known[i]) for i, o in enumerate(others)])


def _auroc_interval(
    predicted: NDArray[np.float64], selected: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Mean AUROC within a case, and its 99 % interval over resampled cases.

    Within a case, since predictions of different left-out cases come from different fits. Cases
    in which all squares or none are selected tell nothing.
    """
    some = selected.any(axis=1) & ~selected.all(axis=1)
    if not some.any():
        return 0.5, 0.0, 1.0
    areas = np.array([_auroc(p, s) for p, s in zip(predicted[some], selected[some], strict=True)])
    drawn = rng.integers(0, len(areas), (RESAMPLES, len(areas)))
    low, high = np.quantile(areas[drawn].mean(axis=1), (0.005, 0.995))
    return float(areas.mean()), float(low), float(high)


def _auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The share of pairs that are in order; equal scores count half."""
    above = scores[positive][:, None] - scores[~positive]
    return float(((above > 0) + 0.5 * (above == 0)).mean())
