"""How small a true difference a study would have seen."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from imil.study.statistics.error import StandardError
from imil.study.statistics.estimates import Difference
from imil.study.statistics.measures import MEASURES

POWER = 0.8
FAR = 1000.0  # standard errors: further than any power needs
STEPS = 2000  # of the integral over what a study finds its own standard error to be


def smallest_effect(difference: Difference, *, power: float = POWER, level: float = 0.05) -> float:
    """The smallest true difference that this design shows in 80 of 100 studies.

    From the standard error that the study found: what its images, seeds and splits made of it,
    with degrees of freedom for how well so few tell it. NaN where there is none. It is as
    uncertain as that standard error: with three seeds, good for an order of magnitude.

    Args:
        difference: from `paired`; its value plays no part.
        power: in how many of all studies.
        level: two-sided.
    Source: the non-central t distribution.
    """
    if math.isnan(difference.error):
        return math.nan
    found = StandardError(difference.error, difference.freedom)
    return float(brentq(lambda far: _seen(far, found, level) - power, 0, FAR)) * found.error


def _seen(far: float, found: StandardError, level: float) -> float:
    """How often a true difference of so many standard errors is seen.

    Statsmodels asks SciPy's non-central t, which is NaN here and there (2 degrees of freedom,
    11 standard errors); this is its integral, written out.
    """
    between = (np.arange(STEPS) + 0.5) / STEPS
    # what the study takes for its standard error, over what that is
    off = np.sqrt(chi2.ppf(between, found.freedom) / found.freedom)
    needed = found.quantile(1 - level) * off
    return float((norm.cdf(far - needed) + norm.cdf(-far - needed)).mean())


def power_sentence(
    effect: float, *, images: int, seeds: int, splits: int = 1, measure: str = "accuracy"
) -> str:
    """What `smallest_effect` means, in one sentence.

    Args:
        effect: from `smallest_effect`.
        images: different images tested on.
        seeds: on each split.
        splits: of the study.
        measure: a name of `MEASURES`.

    >>> power_sentence(0.0571, images=132, seeds=3)
    'With 132 test images and 3 seeds, a true difference below 6 points of accuracy would probably
    not have been seen.'
    """
    design = f"With {_count(images, 'test image')} and {_design(seeds, splits)}"
    if math.isnan(effect):
        return f"{design}, it cannot be told how large a difference would have been seen."
    if effect >= MEASURES[measure].most:
        return f"{design}, no difference of {_called(measure)} can be shown, however large."
    said = f"{design}, a true difference below {_amount(effect, measure)} would probably not have"
    if seeds * splits > 1:
        return f"{said} been seen."
    return f"{said} been seen; what another seed would change is not known and comes on top."


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
