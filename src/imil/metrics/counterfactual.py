"""How far a model follows a shortcut, from the same images with the shortcut for and against.

Each image is predicted twice: with the shortcut arguing for its true class, and against it. Images
of the last class carry the mark in `for_probs` alone, the others in `against_probs` alone.

Args of every metric:
    for_probs, against_probs: float64 (N, K), rows sum to 1; row i of both is the same image.
    labels, weights: as in `imil.metrics.weights`.
"""

from __future__ import annotations

import numpy as np

from imil.metrics.classification import is_correct
from imil.metrics.weights import Labels, Probs, Values, Weights, weighted_mean, weights_or_ones


def shortcut_shift(
    for_probs: Probs, against_probs: Probs, labels: Labels, weights: Weights | None = None
) -> Values:
    """Mean probability of the true class, for minus against, in [-1, 1]; 0: the mark is ignored.

    >>> float(shortcut_shift(np.array([[0.2, 0.8]]), np.array([[0.7, 0.3]]), np.array([1])))
    0.5
    """
    rows = np.arange(len(labels))
    shift = for_probs[rows, labels] - against_probs[rows, labels]
    return weighted_mean(shift, weights_or_ones(weights, len(labels)))


def shortcut_flips(
    for_probs: Probs, against_probs: Probs, labels: Labels, weights: Weights | None = None
) -> Values:
    """The share of images whose predicted class differs between for and against, in [0, 1].

    >>> float(shortcut_flips(np.array([[0.2, 0.8]]), np.array([[0.7, 0.3]]), np.array([1])))
    1.0
    """
    differs = for_probs.argmax(axis=1) != against_probs.argmax(axis=1)
    return weighted_mean(differs, weights_or_ones(weights, len(labels)))


def worst_group_accuracy(
    for_probs: Probs, against_probs: Probs, labels: Labels, weights: Weights | None = None
) -> Values:
    """The lowest accuracy of a class with the mark or without it, in [0, 1].

    The groups are the K classes, each once with the mark in all its images and once in none. NaN
    where a class has no sample.

    Source: worst-group accuracy, Sagawa et al. 2020.

    >>> for_it = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    >>> against_it = np.array([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    >>> float(worst_group_accuracy(for_it, against_it, np.array([0, 1, 1])))
    0.5
    """
    weights = weights_or_ones(weights, len(labels))
    shares = [
        weighted_mean(is_correct(probs, labels), weights * (labels == k))
        for probs in (for_probs, against_probs)
        for k in range(for_probs.shape[1])
    ]
    return np.asarray(np.min(shares, axis=0), np.float64)
