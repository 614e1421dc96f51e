"""The smallest true difference that a study would probably show.

Statsmodels has the power of a t test of so many units; here the standard error has two sources, and
other studies of the design would each estimate it again.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from imil.metrics import Values
from imil.study.phrases import count
from imil.study.statistics.estimates import Difference
from imil.study.statistics.measures import MEASURES
from imil.study.statistics.standard_error import StandardError

POWER = 0.8
SEARCH_FACTOR = 10.0  # the search ends at so many times the largest critical difference
STEPS = 2000  # of the integral over the standard errors that studies estimate


def smallest_effect(difference: Difference, *, power: float = POWER, level: float = 0.05) -> float:
    """The smallest true difference that this design shows in 80 of 100 studies.

    A difference is shown if its p is below `level`: 0.05, or that over the number of arms, where
    p is corrected for it. It is computed from the variances that this study estimated for images,
    seeds and splits, and from how these estimates would vary between studies of the same design.
    NaN where there is no standard error. It is as uncertain as those variances: with three seeds,
    an order of magnitude.

    Args:
        difference: from `paired`; its value is not used.
        power: the share of all studies that show the difference.
        level: two-sided.
    """
    if not difference.standard_error.error > 0:
        return math.nan
    error, critical = _error_and_critical(difference.standard_error, level)

    def power_of(effect: float) -> float:
        above, below = (effect - critical) / error, (-effect - critical) / error
        return float((norm.cdf(above) + norm.cdf(below)).mean())

    end = SEARCH_FACTOR * float(critical.max())
    return float(brentq(lambda effect: power_of(effect) - power, 0, end))


def _error_and_critical(known: StandardError, level: float) -> tuple[float, Values]:
    """The true standard error, and the smallest difference that each of many studies shows.

    Each study estimates its own standard error; these lie at equal steps of probability.
    """
    probability = (np.arange(STEPS) + 0.5) / STEPS
    sources = known.sources
    if sources is None:
        estimated = known.error * np.sqrt(chi2.ppf(probability, known.df) / known.df)
        return known.error, t.ppf(1 - level / 2, known.df) * estimated
    df = sources.clusters - 1
    between = max(sources.between, sources.noise) * chi2.ppf(probability, df) / df
    estimated, df_of_study = sources.errors(between)
    quantile = t.ppf(1 - level / 2, np.minimum(df_of_study, sources.max_df_of_p))
    return math.sqrt(sources.variance), quantile * estimated


def power_sentence(
    effect: float,
    *,
    images: int,
    seeds: int,
    splits: int = 1,
    arms: int = 1,
    measure: str = "accuracy",
) -> str:
    """The result of `smallest_effect` in one sentence.

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
    design = f"With {count(images, 'test image')} and {_design(seeds, splits)}"
    if math.isnan(effect):
        return f"{design}, the smallest difference that would be shown cannot be computed."
    if effect >= MEASURES[measure].maximum:
        return f"{design}, no difference of {_called(measure)} can be shown, however large."
    corrected = f", corrected for {arms} arms" if arms > 1 else ""
    sentence = (
        f"{design}, a true difference of {_amount(effect, measure)} would be shown in four of five "
        f"such studies{corrected}"
    )
    if seeds * splits > 1:
        return f"{sentence}."
    return (
        f"{sentence}, if only the images varied; the variation between seeds is not known and is "
        "not included."
    )


def _design(seeds: int, splits: int) -> str:
    if splits == 1:
        return "one seed" if seeds == 1 else f"{seeds} seeds"
    return f"{splits} splits" if seeds == 1 else f"{seeds} seeds on each of {splits} splits"


def _amount(effect: float, measure: str) -> str:
    """The effect, rounded up: in percentage points where it is a share of images."""
    if measure in ("accuracy", "sensitivity", "specificity"):
        points = _round_up(100 * effect, 0 if effect >= 0.01 else 1)
        return f"{points:g} {'point' if points == 1 else 'points'} of {_called(measure)}"
    return f"{_round_up(effect, 2 if effect >= 0.01 else 3):g} in {_called(measure)}"


def _round_up(number: float, digits: int) -> float:
    # rounded first, so that 6.000000001 is 6
    return math.ceil(round(number * 10**digits, 6)) / 10**digits


def _called(measure: str) -> str:
    title = MEASURES[measure].title
    return title if title.isupper() or "ECE" in title else title.lower()
