"""Accuracy, sensitivity, specificity, Brier score and negative log-likelihood, weighted.

Arguments and results: `imil.metrics.weights`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.metrics.weights import Labels, Probs, Values, Weights, weighted_mean, weights_or_ones

# the probability that counts in place of a smaller one in the log-likelihood, as in scikit-learn
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


def is_correct(probs: Probs, labels: Labels) -> NDArray[np.bool_]:
    """Whether the most probable class of each sample is its label, (N,); the first one on a tie."""
    correct: NDArray[np.bool_] = probs.argmax(axis=1) == labels
    return correct


def accuracy(probs: Probs, labels: Labels, weights: Weights | None = None) -> Values:
    """The share of samples whose most probable class is the label, in [0, 1].

    >>> float(accuracy(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0])))
    0.5
    """
    return weighted_mean(is_correct(probs, labels), weights_or_ones(weights, len(labels)))


def sensitivity(probs: Probs, labels: Labels, weights: Weights | None = None) -> Values:
    """The share of samples of class 1 that are predicted as class 1, in [0, 1].

    More than two classes: the mean over the classes, each against the rest. NaN where a class has
    no sample.
    """
    return _mean_share_correct(probs, labels, weights_or_ones(weights, len(labels)), in_class=True)


def specificity(probs: Probs, labels: Labels, weights: Weights | None = None) -> Values:
    """The share of samples outside class 1 that are not predicted as class 1, in [0, 1].

    More than two classes: the mean over the classes, each against the rest. NaN where all samples
    are of one class.
    """
    return _mean_share_correct(probs, labels, weights_or_ones(weights, len(labels)), in_class=False)


def brier_score(probs: Probs, labels: Labels, weights: Weights | None = None) -> Values:
    """Mean squared error of the probabilities; 0 is perfect.

    Two classes: of class 1's probability, in [0, 1]. More: summed over the classes, in [0, 2].
    The same convention as scikit-learn's.

    Source: Brier 1950.

    >>> round(float(brier_score(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))), 6)
    0.325
    """
    squared = ((probs - np.eye(probs.shape[1])[labels]) ** 2).sum(axis=1)
    if probs.shape[1] == 2:
        squared = squared / 2
    return weighted_mean(squared, weights_or_ones(weights, len(labels)))


def negative_log_likelihood(probs: Probs, labels: Labels, weights: Weights | None = None) -> Values:
    """Mean of -ln of the label's probability, at least 0; 0 is perfect.

    A probability of 0 counts as 2.2e-16 (`SMALLEST_PROBABILITY`): about 36.

    >>> probs = np.array([[0.5, 0.5], [0.25, 0.75]])
    >>> round(float(negative_log_likelihood(probs, np.array([0, 0]))), 4)
    1.0397
    """
    of_label = np.clip(probs[np.arange(len(labels)), labels], SMALLEST_PROBABILITY, 1)
    return weighted_mean(-np.log(of_label), weights_or_ones(weights, len(labels)))


def _mean_share_correct(
    probs: Probs, labels: Labels, weights: Weights, *, in_class: bool
) -> Values:
    """For each class the share of samples in it (or outside it) that are predicted so; the mean."""
    classes = [1] if probs.shape[1] == 2 else range(probs.shape[1])
    predicted = probs.argmax(axis=1)
    shares = [
        weighted_mean((predicted == k) == in_class, weights * ((labels == k) == in_class))
        for k in classes
    ]
    return np.asarray(np.mean(shares, axis=0), np.float64)
