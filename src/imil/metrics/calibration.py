"""Calibration errors: equal bins of confidence, and bins of equally many samples, weighted.

Arguments and results: `imil.metrics.weights`.

The reference implementations bin otherwise: torchmetrics has bins [a, b) where Guo et al. have
(a, b], and gives confidence 1 (usual in a trained network) a bin of its own, so that 2 samples of
confidence 0.98 (correct) and 1 (wrong) have an error of 0.51 instead of 0.49.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.metrics.classification import is_correct
from imil.metrics.weights import Labels, Probs, Values, Weights, ratio, weights_or_ones

BINS = 15  # paper 3.3.6


def calibration_bins(confidence: Values, bins: int = BINS) -> NDArray[np.intp]:
    """The equal bin (a, b] in which each confidence lies, (N,), from 0.

    >>> calibration_bins(np.array([0.5, 0.51, 1.0]), bins=2).tolist()
    [0, 1, 1]
    """
    return np.searchsorted(np.arange(1, bins) / bins, confidence)  # first border not below it


def expected_calibration_error(
    probs: Probs, labels: Labels, weights: Weights | None = None, *, bins: int = BINS
) -> Values:
    """Expected calibration error of the predicted class, in [0, 1]; 0 is perfect.

    Args:
        probs, labels, weights: as for every metric.
        bins: number of equal bins of confidence, each with its upper border.
    Source: Guo et al. 2017, eq. 3; paper 3.3.6.

    >>> probs = np.array([[0.2, 0.8], [0.2, 0.8], [0.0, 1.0]])
    >>> round(float(expected_calibration_error(probs, np.array([1, 0, 1]))), 6)
    0.2
    """
    weights = weights_or_ones(weights, len(labels))
    confidence, gap = _confidence_and_gap(probs, labels)
    index = calibration_bins(confidence, bins)
    # n/N · |acc - conf| of a bin is the absolute value of the sum of its gaps, over N
    total = np.zeros(weights.shape[:-1])
    for members in (index == k for k in np.unique(index)):
        total = total + np.abs(weights[..., members] @ gap[members])
    return ratio(total, weights.sum(axis=-1))


def adaptive_calibration_error(
    probs: Probs, labels: Labels, weights: Weights | None = None
) -> Values:
    """Expected calibration error over 15 bins that hold equally many samples, in [0, 1].

    Samples are ordered by confidence. A sample on the border of two bins belongs to both in part,
    so that the bins are equal whatever N is. Samples of the same confidence share their gap, so
    that their order does not matter.

    Source: Nguyen and O'Connor 2015 (adaptive binning); Nixon et al. 2019, sec. 3.
    """
    given = weights_or_ones(weights, len(labels))
    confidence, gap = _confidence_and_gap(probs, labels)
    order = np.argsort(confidence, kind="stable")
    ordered, counts = confidence[order], np.atleast_2d(given)[:, order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of each run of equals
    zero = np.zeros((len(counts), 1))
    mass = np.hstack([zero, counts.cumsum(axis=1)[:, last]])
    summed = np.hstack([zero, (counts * gap[order]).cumsum(axis=1)[:, last]])
    total = mass[:, -1]
    at_borders = _interpolate(mass, summed, total[:, None] * np.arange(BINS + 1) / BINS)
    error = ratio(np.abs(np.diff(at_borders, axis=1)).sum(axis=1), total)
    return error.reshape(given.shape[:-1])


def _confidence_and_gap(probs: Probs, labels: Labels) -> tuple[Values, Values]:
    """The probability of the predicted class, and correct (1 or 0) minus it, each (N,)."""
    confidence = probs.max(axis=1)
    return confidence, is_correct(probs, labels) - confidence


def _interpolate(x: Values, y: Values, at: Values) -> Values:
    """Linear interpolation in each row: y where x, which never falls from 0, reaches `at`."""
    # each row is shifted beyond the one before it, so that one search does for all rows
    shift = np.arange(len(x))[:, None] * (x.max() + 1)
    right = np.searchsorted((x + shift).ravel(), (at + shift).ravel()).reshape(at.shape)
    right = np.clip(right - np.arange(len(x))[:, None] * x.shape[1], 1, x.shape[1] - 1)
    x0, x1 = (np.take_along_axis(x, i, axis=1) for i in (right - 1, right))
    y0, y1 = (np.take_along_axis(y, i, axis=1) for i in (right - 1, right))
    share = np.divide(at - x0, x1 - x0, out=np.zeros_like(at), where=x1 > x0)
    return y0 + share * (y1 - y0)
