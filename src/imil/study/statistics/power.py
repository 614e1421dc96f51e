"""How small a true difference a study would have seen."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from imil.study.statistics.estimates import Difference
from imil.study.statistics.measures import MEASURES

POWER = 0.8
FAR = 10.0  # times what the least lucky study needs
STEPS = 2000  # of the integral over what a study finds its own standard error to be


def smallest_effect(difference: Difference, *, power: float = POWER, level: float = 0.05) -> float:
    """The smallest true difference that this design shows in 80 of 100 studies.

    Shown is what has a p below `level`: 0.05, or that over the number of arms, where p is
    corrected for it. From the variances that the study found: what its images, seeds and splits
    made of it, and how differently other studies of the kind would find them, with their own
    standard error each. NaN where there is none. It is as uncertain as those variances: with three
    seeds, good for an order of magnitude.

    Args:
        difference: from `paired`; its value plays no part.
        power: in how many of all studies.
        level: two-sided.
    """
    off = difference.off
    if not off.error > 0:
        return math.nan
    between = (np.arange(STEPS) + 0.5) / STEPS
    if off.sources is None:
        error = off.error
        # what a study takes for its standard error, over what that is
        found = error * np.sqrt(chi2.ppf(between, off.freedom) / off.freedom)
        needed = t.ppf(1 - level / 2, off.freedom) * found
    else:
        error = math.sqrt(off.sources.variance)
        few = off.sources.clusters - 1
        wide = max(off.sources.between, off.sources.noise) * chi2.ppf(between, few) / few
        found, freedom = off.sources.errors(wide)
        needed = t.ppf(1 - level / 2, np.minimum(freedom, off.sources.most_of_p)) * found

    def seen(effect: float) -> float:
        above, below = (effect - needed) / error, (-effect - needed) / error
        return float((norm.cdf(above) + norm.cdf(below)).mean())

    return float(brentq(lambda effect: seen(effect) - power, 0, FAR * float(needed.max())))


def power_sentence(
    effect: float,
    *,
    images: int,
    seeds: int,
    splits: int = 1,
    arms: int = 1,
    measure: str = "accuracy",
) -> str:
    """What `smallest_effect` means, in one sentence.

    Args:
        effect: from `smallest_effect`.
        images: different images tested on.
        seeds: on each split.
        splits: of the study.
        arms: that p was corrected for.
        measure: a name of `MEASURES`.

    >>> power_sentence(0.0571, images=132, seeds=3)
    'With 132 test images and 3 seeds, a true difference of 6 points of accuracy would be shown in
    four of five such studies.'
    """
    design = f"With {_count(images, 'test image')} and {_design(seeds, splits)}"
    if math.isnan(effect):
        return f"{design}, it cannot be told how large a difference would have been seen."
    if effect >= MEASURES[measure].most:
        return f"{design}, no difference of {_called(measure)} can be shown, however large."
    said = f"{design}, a true difference of {_amount(effect, measure)} would be shown in four of"
    corrected = f", corrected for {arms} arms" if arms > 1 else ""
    if seeds * splits > 1:
        return f"{said} five such studies{corrected}."
    return (
        f"{said} five such studies{corrected}, if nothing but the images were left to chance; what "
        "another seed would change is not known and comes on top."
    )


def _design(seeds: int, splits: int) -> str:
    if splits == 1:
        return "one seed" if seeds == 1 else f"{seeds} seeds"
    return f"{splits} splits" if seeds == 1 else f"{seeds} seeds on each of {splits} splits"


def _amount(effect: float, measure: str) -> str:
    """The effect, rounded up: in points of a hundred where it is a share of images."""
    if measure in ("accuracy", "sensitivity", "specificity"):
        points = _up(100 * effect, 0 if effect >= 0.01 else 1)
        return f"{points:g} {'point' if points == 1 else 'points'} of {_called(measure)}"
    return f"{_up(effect, 2 if effect >= 0.01 else 3):g} in {_called(measure)}"


def _up(number: float, digits: int) -> float:
    # rounded first, so that 6.000000001 is 6
    return math.ceil(round(number * 10**digits, 6)) / 10**digits


def _called(measure: str) -> str:
    title = MEASURES[measure].title
    return title if title.isupper() or "ECE" in title else title.lower()


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"
