"""DeLong's comparison of two AUROCs on the same images.

SciPy and statsmodels do not have it; it needs the ranks that `imil.metrics.roc_auc` counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from imil.metrics import Values
from imil.metrics.roc_auc import counts_above, scored_classes
from imil.predictions import Predictions
from imil.study.statistics.estimates import Interval, check_pairs

ROUNDING = 1e-12  # a standard error below that is a rounding error


@dataclass(frozen=True)
class AurocDifference(Interval):
    """A difference of two AUROCs with its 95 % interval, and the two-sided p of no difference.

    NaN where it cannot be computed: a class with fewer than two images, or AUROCs that differ
    and have no variance (both 0, 1/2 or 1).
    """

    p: float


def delong(arm: Predictions, base: Predictions) -> AurocDifference:
    """The difference of two networks' AUROC, arm minus base, with interval and p.

    Two classes: of class 1. More: of the mean of each class against the rest. That mean is, like
    each of its parts, an average over tuples of images, so DeLong's variance holds for it too:
    what an image contributes to the parts is summed before the variance within each class is
    taken.

    Args:
        arm, base: predictions for the same images.
    Raises: ShapeError: the images differ.
    Source: DeLong et al. 1988, eq. 5 and 6.
    """
    check_pairs([arm], [base])
    labels = arm.labels
    sizes = np.bincount(labels, minlength=arm.probs.shape[1])
    if sizes.min() < 2:
        return AurocDifference(math.nan, math.nan, math.nan, math.nan)
    (arm_auroc, arm_parts), (base_auroc, base_parts) = _components(arm), _components(base)
    parts = arm_parts - base_parts
    error = math.sqrt(
        sum(n * parts[labels == k].var(ddof=1) for k, n in enumerate(sizes))  # sums of n images
    )
    return _tested(arm_auroc - base_auroc, error)


def _tested(value: float, error: float) -> AurocDifference:
    if error < ROUNDING:
        equal = abs(value) < ROUNDING
        p = 1.0 if equal else math.nan
        end = value if equal else math.nan
        return AurocDifference(value, end, end, p)
    half_width = float(norm.ppf(0.975)) * error
    low, high = max(value - half_width, -1.0), min(value + half_width, 1.0)
    return AurocDifference(value, low, high, float(2 * norm.sf(abs(value) / error)))


def _components(predictions: Predictions) -> tuple[float, Values]:
    """AUROC, and what each image contributes to it, (N,)."""
    parts = [
        _placements(predictions.probs[:, k], predictions.labels == k)
        for k in scored_classes(predictions.probs.shape[1])
    ]
    areas, contributions = zip(*parts, strict=True)
    return float(np.mean(areas)), np.asarray(np.mean(contributions, axis=0), np.float64)


def _placements(scores: Values, positive: NDArray[np.bool_]) -> tuple[float, Values]:
    """AUROC of one class against the rest, and the structural component of each image, (N,).

    That of an image is the share of the other kind (positive or negative) that it is on the right
    side of, ties half, divided by the number of its own kind.
    """
    ones = np.ones(len(scores))
    n, rest = int(positive.sum()), int((~positive).sum())
    share = np.empty(len(scores))
    share[positive] = (rest - counts_above(scores, ~positive, positive, ones)) / rest
    share[~positive] = counts_above(scores, positive, ~positive, ones) / n
    return float(share[positive].mean()), share / np.where(positive, n, rest)
