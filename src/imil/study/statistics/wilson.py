"""Wilson's interval of a share, for a share that is not simply counted."""

from __future__ import annotations

import math

from imil.study.statistics.standard_error import StandardError


def wilson(
    share: float, error: StandardError, *, of_images: float, at_most: float
) -> tuple[float, float]:
    """The ends of the 95 % interval of a share, in [0, 1].

    A share plus or minus its error leaves the range near 1, and has no width at 1, where no image
    was missed: that no image of 30 was missed does not mean that none of the next 30 will be. The
    interval is that of so many images as would give this error if they were simply counted.

    Args:
        share: in [0, 1]: accuracy, sensitivity, specificity, or AUROC (a share of pairs).
        error: its standard error.
        of_images: how many images it is a share of; taken where there is no error to go by.
        at_most: no more images than were predicted, by all units together.
    Source: Wilson 1927; Korn and Graubard 1998 (the number); Kottas et al. 2014 (AUROC).

    >>> low, high = wilson(1.0, StandardError(0.0, 1e6), of_images=30, at_most=30)
    >>> round(low, 3), round(high, 3)
    (0.886, 1.0)
    """
    if math.isnan(error.error):
        return math.nan, math.nan
    spread = share * (1 - share)
    n = min(spread / error.error**2, at_most) if spread > 0 < error.error else of_images
    q = error.quantile()
    centre = (share + q**2 / (2 * n)) / (1 + q**2 / n)
    reach = q / (1 + q**2 / n) * math.sqrt(spread / n + (q / (2 * n)) ** 2)
    # at 0 and 1 an end is the share itself, but for rounding
    return min(max(centre - reach, 0.0), share), max(min(centre + reach, 1.0), share)
