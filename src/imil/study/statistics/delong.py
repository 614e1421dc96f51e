"""DeLong's comparison of two AUROCs on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from imil.study.statistics.estimates import Interval, check_pairs
from imil.study.study_folder import Predictions

NOTHING = 1e-12  # a standard error below that is rounding


@dataclass(frozen=True)
class Tested(Interval):
    """A difference with its 95 % interval, and the two-sided p that there is none.

    NaN where it cannot be computed: a class with fewer than two images, or AUROCs that differ
    and have no spread (both 0, 1/2 or 1).
    """

    p: float


def delong(arm: Predictions, base: Predictions) -> Tested:
    """The difference of two networks' AUROC, arm minus base, with interval and p.

    Two classes: of class 1. More: of the mean of each class against the rest. That mean is, like
    each of its parts, an average over tuples of images, so DeLong's variance holds for it too:
    what an image brings to the parts is added up before the variance within each class is taken.

    Args:
        arm, base: of the same images.
    Raises: ShapeError: of other images.
    Source: DeLong et al. 1988, eq. 5 and 6; Sun and Xu 2014 (placements from ranks).
    """
    check_pairs([arm], [base])
    labels = arm.labels
    sizes = np.bincount(labels, minlength=arm.probs.shape[1])
    if sizes.min() < 2:
        return Tested(math.nan, math.nan, math.nan, math.nan)
    (mine, brought), (theirs, brought_there) = _area(arm), _area(base)
    each = brought - brought_there
    error = math.sqrt(
        sum(n * each[labels == k].var(ddof=1) for k, n in enumerate(sizes))  # sums of n images
    )
    return _tested(mine - theirs, error)


def _tested(value: float, error: float) -> Tested:
    if error < NOTHING:
        same = abs(value) < NOTHING
        return Tested(value, value, value, 1.0) if same else Tested(value, *[math.nan] * 3)
    reach = float(norm.ppf(0.975)) * error
    low, high = max(value - reach, -1.0), min(value + reach, 1.0)
    return Tested(value, low, high, float(2 * norm.sf(abs(value) / error)))


def _area(of: Predictions) -> tuple[float, NDArray[np.float64]]:
    """AUROC, and how much of it each image brings, (N,)."""
    classes = [1] if of.probs.shape[1] == 2 else range(of.probs.shape[1])
    found = [_placements(of.probs[:, k], of.labels == k) for k in classes]
    areas, brought = zip(*found, strict=True)
    return float(np.mean(areas)), np.asarray(np.mean(brought, axis=0), np.float64)


def _placements(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    """AUROC of one class against the rest, and of each image the share of the other side that it
    is on the right side of (ties: half), over the number of its own side."""
    among_all = rankdata(scores)
    own = np.empty_like(among_all)
    own[positive], own[~positive] = rankdata(scores[positive]), rankdata(scores[~positive])
    n, rest = int(positive.sum()), int((~positive).sum())
    below = among_all - own  # how many of the other side score less
    share = np.where(positive, below / rest, 1 - below / n)
    return float(share[positive].mean()), share / np.where(positive, n, rest)
