"""Wilson's interval of a share that is not simply counted.

Statsmodels' `proportion_confint` takes counts and the normal distribution; here the standard error
comes from resamples and units, and the distribution is Student's.
"""

from __future__ import annotations

import math

from imil.study.statistics.standard_error import StandardError


def wilson(
    share: float, error: StandardError, *, of_images: float, at_most: float
) -> tuple[float, float]:
    """The ends of the 95 % interval of a share, in [0, 1].

    A share plus or minus its standard error exceeds 1 near 1, and has no width at 1: that all 30
    images were correct does not mean that the next 30 will be. The interval is that of the
    number of images that would give this standard error if they were simply counted.

    Args:
        share: in [0, 1]: accuracy, sensitivity, specificity, or AUROC (a share of pairs).
        error: its standard error.
        of_images: how many images it is a share of; used where the standard error is 0.
        at_most: no more images than were predicted, by all units together.
    Source: Wilson 1927; Korn and Graubard 1998 (the number); Kottas et al. 2014 (AUROC).

    >>> low, high = wilson(1.0, StandardError(0.0, 1e6), of_images=30, at_most=30)
    >>> round(low, 3), round(high, 3)
    (0.886, 1.0)
    """
    if math.isnan(error.error):
        return math.nan, math.nan
    variance = share * (1 - share)
    n = min(variance / error.error**2, at_most) if variance > 0 < error.error else of_images
    q = error.quantile()
    centre = (share + q**2 / (2 * n)) / (1 + q**2 / n)
    half_width = q / (1 + q**2 / n) * math.sqrt(variance / n + (q / (2 * n)) ** 2)
    # at 0 and 1 an end is the share itself, apart from rounding
    return min(max(centre - half_width, 0.0), share), max(min(centre + half_width, 1.0), share)
