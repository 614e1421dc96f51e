"""ROC curves and the area under them, weighted; tables, DeLong's test and figures use the same.

Arguments and results: `imil.metrics.weights`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.metrics.weights import Labels, Probs, Values, Weights, ratio, weights_or_ones


def auroc(probs: Probs, labels: Labels, weights: Weights | None = None) -> Values:
    """Area under the ROC curve, in [0, 1]; NaN where a class has no sample.

    Two classes: of class 1's probability. More: the mean of each class against the rest.
    Exact, ties counted half: the share of pairs of a positive and a negative sample in which the
    positive one scores higher.

    Source: Hanley and McNeil 1982.

    >>> float(auroc(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1])))
    1.0
    """
    weights = weights_or_ones(weights, len(labels))
    areas = [_area(probs[:, k], labels == k, weights) for k in scored_classes(probs.shape[1])]
    return np.asarray(np.mean(areas, axis=0), np.float64)


def scored_classes(classes: int) -> list[int]:
    """The classes that have a curve of their own: class 1 of two, else each of them."""
    return [1] if classes == 2 else list(range(classes))


def roc_points(
    scores: Values, positive: NDArray[np.bool_], weights: Weights | None = None
) -> tuple[Values, Values]:
    """False- and true-positive rates at every threshold, from (0, 0) to (1, 1).

    Args:
        scores: (N,), higher is more positive.
        positive: (N,), with at least one True and one False.
        weights: (N,) or (R, N); None: 1 each.
    Returns: (M + 1,) or (R, M + 1) each, for M different scores.
    Source: Fawcett 2006, algorithm 1.

    >>> fpr, tpr = roc_points(np.array([0.9, 0.4, 0.4]), np.array([True, False, True]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 1.0], [0.0, 0.5, 1.0])
    """
    weights = weights_or_ones(weights, len(scores))
    false, _ = _counts_at_thresholds(scores, weights * ~positive)
    true, _ = _counts_at_thresholds(scores, weights * positive)
    return false / false[..., -1:], true / true[..., -1:]


def counts_above(
    scores: Values, counted: NDArray[np.bool_], wanted: NDArray[np.bool_], weights: Weights
) -> Values:
    """How many of the `counted` samples score higher than each of the `wanted`; of ties, half.

    Args:
        scores: (N,).
        counted, wanted: (N,) True for n and for m of the samples.
        weights: (N,) or (R, N), of the counted.
    Returns: (m,) or (R, m).
    """
    counts, threshold = _counts_at_thresholds(scores, weights * counted)
    return ((counts[..., 1:] + counts[..., :-1]) / 2)[..., threshold[wanted]]


def _area(scores: Values, positive: NDArray[np.bool_], weights: Weights) -> Values:
    """The area under one curve; divided last, so that sums of whole counts are exact."""
    above = counts_above(scores, positive, ~positive, weights)
    negatives = weights[..., ~positive]
    won = np.einsum("...n,...n->...", negatives, above)
    return ratio(won, weights[..., positive].sum(axis=-1) * negatives.sum(axis=-1))


def _counts_at_thresholds(scores: Values, weights: Weights) -> tuple[Values, NDArray[np.intp]]:
    """The weight of the samples that score at least each threshold, and the threshold of each.

    Equal scores are one threshold, so that ties give a slope and not an order by chance.

    Returns: (M + 1,) or (R, M + 1), from the highest of M scores down, with 0 before it; and (N,),
        in [0, M).
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each run of equals
    counts = np.zeros((*weights.shape[:-1], len(last) + 1))
    counts[..., 1:] = weights[..., order].cumsum(axis=-1)[..., last]
    threshold = np.empty(len(scores), np.intp)
    threshold[order] = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    return counts, threshold
