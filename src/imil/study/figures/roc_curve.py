"""ROC curves as numbers, and their mean over trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.metrics.roc_auc import roc_points, scored_classes
from imil.predictions import Predictions

MAX_POINTS = 1001  # false-positive rates of a mean curve; with fewer it is exact

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """The vertical mean of ROC curves. Each rate occurs twice: below and above a step.

    Args:
        fpr: false-positive rate, (2 M,), never falling.
        tpr, low, high: true-positive rate: mean, lowest and highest of the curves, (2 M,).
        curves: how many.
    """

    fpr: Floats
    tpr: Floats
    low: Floats
    high: Floats
    curves: int


def mean_curve(units: Sequence[Predictions]) -> MeanCurve | None:
    """The mean of the trainings' curves; None where no training has images of every class.

    Two classes: of class 1's probability. More: the mean of each class against the rest, so
    that the area below is the AUROC that tables give.

    Source: vertical averaging, Fawcett 2006, section 8.1.
    """
    curves = [_curves(unit) for unit in units if _complete(unit)]
    if not curves:
        return None
    rates = np.unique(np.concatenate([fpr for unit in curves for fpr, _ in unit]))
    rates = rates if len(rates) <= MAX_POINTS else np.linspace(0, 1, MAX_POINTS)
    sides = np.stack(
        [np.mean([_sides(rates, *curve) for curve in unit], axis=0) for unit in curves]
    )
    flat = sides.reshape(len(curves), -1)
    return MeanCurve(np.repeat(rates, 2), flat.mean(0), flat.min(0), flat.max(0), len(curves))


def _complete(unit: Predictions) -> bool:
    return len(np.unique(unit.labels)) == unit.probs.shape[1]


def _curves(unit: Predictions) -> list[tuple[Floats, Floats]]:
    count = unit.probs.shape[1]
    classes = scored_classes(count)
    return [roc_points(unit.probs[:, k], unit.labels == k) for k in classes]


def _sides(rates: Floats, fpr: Floats, tpr: Floats) -> Floats:
    """The true-positive rate before and after the step at each rate, (M, 2)."""
    # of equal x np.interp takes the last: reversed, that is the first
    before = -np.interp(-rates, -fpr[::-1], -tpr[::-1])
    return np.stack([before, np.interp(rates, fpr, tpr)], axis=1)
