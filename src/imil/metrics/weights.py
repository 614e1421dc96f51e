"""Weights of samples: what every metric in this folder takes beside predictions and labels.

Args of every metric:
    probs: float64 (N, K), rows sum to 1.
    labels: int64 (N,), in [0, K).
    weights: float64 (N,), how much each sample counts; or (R, N), such as how often each sample
        lies in each of R resamples; None: 1 each. At least 0.
Returns: one number, or (R,); NaN where the metric is not defined, as where no sample counts.

Torchmetrics and scikit-learn take no weights for some of these metrics, and neither computes many
resamples at a time: they are the reference in the tests.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Probs = NDArray[np.float64]
Labels = NDArray[np.int64]
Weights = NDArray[np.float64]
Values = NDArray[np.float64]


def weights_or_ones(weights: Weights | None, n: int) -> Weights:
    """The weights as float64, (N,) or (R, N); 1 each if None."""
    return np.ones(n) if weights is None else np.asarray(weights, np.float64)


def weighted_mean(values: NDArray[np.float64 | np.bool_], weights: Weights) -> Values:
    """The weighted mean of values (N,): one number, or (R,); NaN where all weights are 0.

    >>> weighted_mean(np.array([1.0, 3.0]), np.array([[1.0, 1.0], [0.0, 2.0]])).tolist()
    [2.0, 3.0]
    """
    return ratio(weights @ values.astype(np.float64), weights.sum(axis=-1))


def ratio(numerator: Values, denominator: Values) -> Values:
    """The quotient, of the same shape; NaN where the denominator is 0."""
    empty = np.full(np.shape(denominator), np.nan)
    quotient: Values = np.divide(numerator, denominator, out=empty, where=denominator > 0)
    return quotient
