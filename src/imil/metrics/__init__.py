"""Metrics of classification: one implementation of each, for training, tables and statistics.

Every metric takes `(probs, labels, weights=None)`, see `imil.metrics.weights`; those of
`imil.metrics.counterfactual` take two arrays of probabilities.
"""

from imil.metrics.calibration import (
    BINS,
    adaptive_calibration_error,
    calibration_bins,
    expected_calibration_error,
)
from imil.metrics.classification import (
    accuracy,
    brier_score,
    is_correct,
    negative_log_likelihood,
    sensitivity,
    specificity,
)
from imil.metrics.counterfactual import shortcut_flips, shortcut_shift, worst_group_accuracy
from imil.metrics.evaluation import evaluate
from imil.metrics.roc_auc import auroc, roc_points
from imil.metrics.weights import Labels, Probs, Values, Weights

__all__ = [
    "BINS",
    "Labels",
    "Probs",
    "Values",
    "Weights",
    "accuracy",
    "adaptive_calibration_error",
    "auroc",
    "brier_score",
    "calibration_bins",
    "evaluate",
    "expected_calibration_error",
    "is_correct",
    "negative_log_likelihood",
    "roc_points",
    "sensitivity",
    "shortcut_flips",
    "shortcut_shift",
    "specificity",
    "worst_group_accuracy",
]
