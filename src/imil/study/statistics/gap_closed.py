"""How much of the gap between two arms a third one closes, with an interval.

SciPy's bootstrap resamples one sample; here trainings and images are crossed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.metrics import Values
from imil.predictions import Predictions
from imil.study.statistics.estimates import Interval, check_pairs, clusters_of
from imil.study.statistics.measures import Measure
from imil.study.statistics.resamples import images_of, resampled

RESAMPLES = 2000  # 50 of them lie outside each end of the interval
UNITS_STREAM = 1  # of the seed: the draws of trainings, beside those of images
UNKNOWN = Interval(math.nan, math.nan, math.nan)


def gap_closed(
    arm: Sequence[Predictions],
    base: Sequence[Predictions],
    best: Sequence[Predictions],
    measure: Measure,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    patients: Mapping[str, str] | None = None,
    splits: Sequence[int] | None = None,
) -> Interval:
    """(arm - base) / (best - base) of means over trainings: 0 is base, 1 is best.

    The interval is a percentile bootstrap over images and trainings jointly. Each resample draws
    the images with replacement within their class, the same in all trainings and arms, and then
    trainings with replacement, the same in all arms (one fewer than there are, which makes the
    variance of their mean unbiased). Where there are several splits, whole splits are drawn in
    place of trainings. With one training the interval is for other images alone.

    Args:
        arm, base, best: the i-th of each are of the same seed, split and images.
        measure: of these predictions.
        seed: of the resamples.
        patients: image to patient, where known: images of a patient are drawn together.
        splits: on which split each was trained.
    Returns: NaN where the mean of best is not above that of base; the ends are NaN where it is
        not so in every resample: the ratio is then not determined.
    Raises: ShapeError: they are not pairs.
    Source: trainings crossed with images: Owen 2007 (pigeonhole bootstrap, conservative); one
        fewer: Rao and Wu 1988.
    """
    check_pairs(arm, base)
    check_pairs(best, base)
    every = [*arm, *base, *best]
    values = np.array([measure.value(one.probs, one.labels) for one in every], np.float64)
    means = values.reshape(3, -1).mean(axis=1)
    if not means[2] > means[1]:  # also NaN
        return UNKNOWN
    drawn = resampled(
        every, measure, images_of(every, patients), seed=seed, resamples=resamples
    ).reshape(resamples, 3, -1)
    weights = _draw_units(clusters_of(arm, splits), resamples, seed)
    of_arm, of_base, of_best = np.moveaxis((drawn * weights[:, None]).sum(axis=2), 1, 0)
    value = float((means[0] - means[1]) / (means[2] - means[1]))
    if not (of_best > of_base).all():
        return Interval(value, math.nan, math.nan)
    ratios = (of_arm - of_base) / (of_best - of_base)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _draw_units(clusters: NDArray[np.intp], resamples: int, seed: int) -> Values:
    """The weight of each training in each resample, (resamples, units); rows sum to 1."""
    number = int(clusters.max()) + 1
    if number == 1:
        return np.full((resamples, len(clusters)), 1 / len(clusters))
    rng = np.random.default_rng([seed, UNITS_STREAM])
    drawn = rng.integers(0, number, (resamples, number - 1))
    counts = (drawn[:, :, None] == np.arange(number)).sum(axis=1)
    weights = counts[:, clusters].astype(np.float64)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)
