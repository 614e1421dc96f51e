"""The numbers of metrics.json, from probabilities and labels alone."""

from __future__ import annotations

import math

import numpy as np

from imil.errors import ShapeError
from imil.metrics.calibration import expected_calibration_error
from imil.metrics.classification import accuracy, brier_score, negative_log_likelihood
from imil.metrics.roc_auc import auroc
from imil.metrics.weights import Labels, Probs

SUM_TOLERANCE = 1e-3  # softmax in bfloat16 is that far from 1

METRICS = {
    "accuracy": accuracy,
    "auroc": auroc,
    "ece": expected_calibration_error,
    "brier": brier_score,
    "nll": negative_log_likelihood,
}


def evaluate(probs: Probs, labels: Labels) -> dict[str, float | None]:
    """Accuracy, AUROC, ECE, Brier score and negative log-likelihood, by name.

    Args:
        probs: (N, K), rows sum to 1.
        labels: (N,), in [0, K).
    Returns: `auroc` is None where a class has no sample; the others are always numbers.
    Raises: ShapeError: N differs or is 0, K is less than 2, a label is not a class, or a row is
        not a distribution.
    """
    probs, labels = _checked(probs, labels)
    values = {name: float(metric(probs, labels)) for name, metric in METRICS.items()}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _checked(probs: Probs, labels: Labels) -> tuple[Probs, Labels]:
    """The arrays as float64 and int64, if they are predictions and their labels."""
    probs, labels = np.asarray(probs, np.float64), np.asarray(labels)
    if probs.ndim != 2 or probs.shape[1] < 2 or probs.shape[:1] != labels.shape or not len(labels):
        raise ShapeError(
            f"probabilities {probs.shape} and labels {labels.shape} do not fit: "
            "give (N, K) and (N,), with N of 1 or more and K of 2 or more"
        )
    if not np.isfinite(probs).all():
        raise ShapeError(
            "a predicted probability is not a number: training has diverged; "
            "lower the learning rate"
        )
    off = float(np.abs(probs.sum(axis=1) - 1).max())
    if off > SUM_TOLERANCE or probs.min() < -SUM_TOLERANCE:
        raise ShapeError(
            f"rows of probabilities are {off:.2g} away from a sum of 1: give softmax, not logits"
        )
    if labels.min() < 0 or labels.max() >= probs.shape[1]:
        raise ShapeError(
            f"labels run from {labels.min()} to {labels.max()}: "
            f"give 0 to {probs.shape[1] - 1}, one for each column of the probabilities"
        )
    return probs, labels.astype(np.int64)
