"""How good predictions are: the numbers of `metrics.json`, from probabilities and labels alone.

AUROC is torchmetrics'. Its calibration error is not used: it bins [a, b) where Guo et al. bin
(a, b], and gives confidence 1 (usual in a trained network) a bin of its own, so that 2 samples
of confidence 0.98 (right) and 1 (wrong) score 0.51 instead of 0.49. It has no Brier score and
no log-likelihood.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.errors import ShapeError

BINS = 15  # paper 3.3.6
SUM_TOLERANCE = 1e-3  # softmax in bfloat16 is that far from 1

Probs = NDArray[np.float64]
Labels = NDArray[np.int64]


def evaluate(probs: Probs, labels: Labels) -> dict[str, float | None]:
    """Accuracy, AUROC, ECE, Brier score and negative log-likelihood, by name.

    Args:
        probs: (N, K), rows sum to 1.
        labels: (N,), in [0, K).
    Returns: `auroc` is None where a class has no sample; the rest are always numbers.
    Raises: ShapeError: N differs or is 0, K is less than 2, a label is no class, or a row is
        not a distribution.
    """
    probs, labels = _checked(probs, labels)
    return {
        "accuracy": accuracy(probs, labels),
        "auroc": auroc(probs, labels),
        "ece": expected_calibration_error(probs, labels),
        "brier": brier_score(probs, labels),
        "nll": negative_log_likelihood(probs, labels),
    }


def accuracy(probs: Probs, labels: Labels) -> float:
    """The share of samples whose most probable class is the label, in [0, 1].

    >>> accuracy(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    0.5
    """
    return float((probs.argmax(axis=1) == labels).mean())


def auroc(probs: Probs, labels: Labels) -> float | None:
    """Area under the ROC curve, in [0, 1]; None where a class has no sample.

    Two classes: of class 1's probability. More: the mean of each class against the rest.
    Exact to about 1e-7: torchmetrics divides in float32.
    """
    # Seconds to import, and torchmetrics imports torchvision.
    from imil.pytorch.torchvision_import import import_torchvision

    import_torchvision()
    import torch
    from torchmetrics.functional.classification import multiclass_auroc

    classes = probs.shape[1]
    if len(np.unique(labels)) < classes:
        return None  # torchmetrics would count the missing class as 0
    areas = multiclass_auroc(
        torch.tensor(np.clip(probs, 0, 1)),  # it takes what lies outside for logits
        torch.tensor(labels),
        num_classes=classes,
        average=None,
    )
    return float(areas[1] if classes == 2 else areas.mean())


def expected_calibration_error(probs: Probs, labels: Labels, bins: int = BINS) -> float:
    """Expected calibration error of the predicted class, in [0, 1]; 0 is perfect.

    Args:
        probs: (N, K), rows sum to 1.
        labels: (N,), in [0, K).
        bins: number of equal bins of confidence, each with its upper border.
    Source: Guo et al. 2017, eq. 3; paper 3.3.6.

    >>> probs = np.array([[0.2, 0.8], [0.2, 0.8], [0.0, 1.0]])
    >>> round(expected_calibration_error(probs, np.array([1, 0, 1])), 6)
    0.2
    """
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    upper = np.arange(1, bins) / bins
    index = np.searchsorted(upper, confidence)  # the first border that is not below it
    # n/N · |acc - conf| of a bin is its |sum(right) - sum(confidence)| / N
    gap = np.bincount(index, right, bins) - np.bincount(index, confidence, bins)
    return float(np.abs(gap).sum() / len(labels))


def brier_score(probs: Probs, labels: Labels) -> float:
    """Mean squared error of the probabilities; 0 is perfect.

    Two classes: of class 1's probability, in [0, 1]. More: summed over the classes, in [0, 2].
    The same convention as scikit-learn's.

    Source: Brier 1950.

    >>> round(brier_score(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0])), 6)
    0.325
    """
    truth = np.eye(probs.shape[1])[labels]
    summed = float(((probs - truth) ** 2).sum(axis=1).mean())
    return summed / 2 if probs.shape[1] == 2 else summed


def negative_log_likelihood(probs: Probs, labels: Labels) -> float:
    """Mean of -ln of the label's probability, at least 0; 0 is perfect.

    A probability of 0 counts as 2.2e-16 (float64's epsilon, as in scikit-learn): about 36.

    >>> round(negative_log_likelihood(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0])), 4)
    1.0397
    """
    of_label = probs[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_label, np.finfo(np.float64).eps, 1)).mean())


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
