"""Measures of many resamples at once: each image counts as often as it was drawn.

`counts` is float (B, N): how often each of N images lies in each of B resamples. Every function
gives the measure of each resample, (B,), NaN where it does not exist. With counts of 1 it is
the measure itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.metrics.classification import BINS, Labels, Probs

Counts = NDArray[np.float64]
Values = NDArray[np.float64]


def mean(values: Values, counts: Counts) -> Values:
    """The mean of a number per image, (N,)."""
    return _over(counts @ values, counts.sum(axis=1))


def accuracy(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """The share of images whose most probable class is the label."""
    return mean((probs.argmax(axis=1) == labels).astype(np.float64), counts)


def brier(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """Mean squared error of the probabilities, as `imil.metrics.classification.brier_score`."""
    squared = ((probs - np.eye(probs.shape[1])[labels]) ** 2).sum(axis=1)
    return mean(squared / 2 if probs.shape[1] == 2 else squared, counts)


def nll(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """Mean of -ln of the label's probability, as `negative_log_likelihood` has it."""
    of_label = probs[np.arange(len(labels)), labels]
    return mean(-np.log(np.clip(of_label, np.finfo(np.float64).eps, 1)), counts)


def ece(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017, eq. 3)."""
    confidence, gap = _confidence_and_gap(probs, labels)
    bins = np.searchsorted(np.arange(1, BINS) / BINS, confidence)
    gaps = counts @ (np.eye(BINS)[bins] * gap[:, None])
    return _over(np.abs(gaps).sum(axis=1), counts.sum(axis=1))


def adaptive_ece(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """Expected calibration error over 15 bins that hold equally many images.

    Images are ordered by confidence. An image on the border of two bins belongs to both in part,
    so that bins are equal whatever N is. Images of the same confidence share their gap, so that
    their order in the table does not matter.

    Source: Nguyen and O'Connor 2015 (adaptive binning); Nixon et al. 2019, sec. 3.
    """
    confidence, gap = _confidence_and_gap(probs, labels)
    order = np.argsort(confidence, kind="stable")
    last = _ends(confidence[order])
    zero = np.zeros((len(counts), 1))
    mass = np.hstack([zero, counts[:, order].cumsum(axis=1)[:, last]])
    summed = np.hstack([zero, (counts * gap)[:, order].cumsum(axis=1)[:, last]])
    total = mass[:, -1]
    at = _read(mass, summed, total[:, None] * np.arange(BINS + 1) / BINS)
    return _over(np.abs(np.diff(at, axis=1)).sum(axis=1), total)


def sensitivity(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """The share of the positive images (class 1) that are found; more classes: the mean of each
    against the rest."""
    return _macro(probs, labels, counts, of_own=True)


def specificity(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """The share of the other images that are not called positive; more classes: the mean of each
    against the rest."""
    return _macro(probs, labels, counts, of_own=False)


def auroc(probs: Probs, labels: Labels, counts: Counts) -> Values:
    """Area under the ROC curve of class 1; more classes: the mean of each against the rest.

    Exact, ties counted half: the share of pairs of a positive and a negative image in which the
    positive one scores higher (Hanley and McNeil 1982).
    """
    if probs.shape[1] == 2:
        return _area(probs[:, 1], labels == 1, counts)
    areas = [_area(probs[:, k], labels == k, counts) for k in range(probs.shape[1])]
    return np.asarray(np.mean(areas, axis=0), np.float64)


def _area(scores: Values, positive: NDArray[np.bool_], counts: Counts) -> Values:
    order = np.argsort(scores, kind="stable")
    scores, positive, counts = scores[order], positive[order], counts[:, order]
    last = _ends(scores)
    group = np.searchsorted(scores[last], scores)  # which group of equal scores each lies in
    upto = (counts * ~positive).cumsum(axis=1)[:, last]  # negatives that score no higher
    below = np.hstack([np.zeros((len(counts), 1)), upto[:, :-1]])
    won = ((upto + below) / 2)[:, group[positive]]
    positives = counts[:, positive]
    return _over((positives * won).sum(axis=1), positives.sum(axis=1) * upto[:, -1])


def _macro(probs: Probs, labels: Labels, counts: Counts, *, of_own: bool) -> Values:
    """The share of right calls on the images of each class (or of the rest), averaged."""
    classes = [1] if probs.shape[1] == 2 else range(probs.shape[1])
    called = probs.argmax(axis=1)
    shares = []
    for k in classes:
        counted = counts * ((labels == k) == of_own)
        shares.append(mean(((called == k) == of_own).astype(np.float64), counted))
    return np.asarray(np.mean(shares, axis=0), np.float64)


def _confidence_and_gap(probs: Probs, labels: Labels) -> tuple[Values, Values]:
    """The probability of the predicted class, and right (1 or 0) minus it, each (N,)."""
    confidence = probs.max(axis=1)
    return confidence, (probs.argmax(axis=1) == labels) - confidence


def _ends(ordered: Values) -> NDArray[np.intp]:
    """The position of the last of each run of equal values."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def _read(x: Values, y: Values, at: Values) -> Values:
    """Linear interpolation in each row: y where x, which never falls from 0, reaches `at`."""
    # each row is moved beyond the one before it, so that one search does for all
    beyond = np.arange(len(x))[:, None] * (x.max() + 1)
    right = np.searchsorted((x + beyond).ravel(), (at + beyond).ravel()).reshape(at.shape)
    right = np.clip(right - np.arange(len(x))[:, None] * x.shape[1], 1, x.shape[1] - 1)
    x0, x1 = (np.take_along_axis(x, i, axis=1) for i in (right - 1, right))
    y0, y1 = (np.take_along_axis(y, i, axis=1) for i in (right - 1, right))
    share = np.divide(at - x0, x1 - x0, out=np.zeros_like(at), where=x1 > x0)
    return y0 + share * (y1 - y0)


def _over(above: Values, below: Values) -> Values:
    """The quotient, NaN where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
