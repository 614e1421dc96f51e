"""Tests of two trained networks on the same images, and p-values put together.

McNemar and DeLong ask whether two networks differ, as they were trained. Whether the methods
differ that trained them is another question, which one seed cannot answer: `paired` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from imil.study.statistics.estimates import check_pairs
from imil.study.study_folder import Predictions


def mcnemar(arm: Predictions, base: Predictions) -> float:
    """Exact two-sided p that two networks are right equally often, in [0, 1].

    Only images count on which one of them is right and the other wrong: with equal accuracy each
    of the two is right on half of those. 1 where there is none.

    Args:
        arm, base: of the same images.
    Raises: ShapeError: of other images.
    Source: McNemar 1947, with the binomial distribution.
    """
    check_pairs([arm], [base])
    mine, theirs = _right(arm), _right(base)
    won, lost = int(np.sum(mine & ~theirs)), int(np.sum(~mine & theirs))
    return float(binomtest(min(won, lost), won + lost).pvalue) if won + lost else 1.0


def combined(ps: Sequence[float], differences: Sequence[float] | None = None) -> float:
    """One p over units, in [0, 1]: twice their median. NaN are left out; NaN if nothing is left.

    Units share images, and splits share training images, so their p-values depend on each other
    in a way that nobody knows. Fisher's and Stouffer's rules want independence, and would call
    the same images, counted three times, evidence. Twice the median holds under any dependence:
    where no unit differs, half of the p-values lie below a/2 in at most a of all studies
    (Markov). Of an even number the lower middle one is the median. One p is itself.

    Args:
        ps: two-sided p of each unit.
        differences: arm minus base of each unit. If given, units that contradict each other are
            no evidence: either side is put together for itself, and the smaller p doubled.
    Source: Rüschendorf 1982; Meinshausen et al. 2009, theorem 3.1; Vovk and Wang 2020.

    >>> combined([0.01, 0.02, 0.9])
    0.04
    >>> combined([0.01, 0.01, 0.9], [0.1, -0.1, 0.0])
    1.0
    """
    if differences is None:
        return _twice_the_median([p for p in ps if not math.isnan(p)])
    told = [(p, d) for p, d in zip(ps, differences, strict=True) if not math.isnan(p)]
    up = _twice_the_median([p / 2 if d > 0 else 1 - p / 2 for p, d in told])
    down = _twice_the_median([p / 2 if d < 0 else 1 - p / 2 for p, d in told])
    return min(2 * up, 2 * down, 1.0) if told else math.nan


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values, adjusted so that all of them together are wrong in at most 5 of 100 studies.

    NaN stay NaN and do not count. (Statsmodels collects garbage in every call: 0.2 s with torch.)

    Source: Holm 1979.

    >>> holm([0.01, 0.04, math.nan, 0.03])
    [0.03, 0.06, nan, 0.06]
    """
    adjusted = np.array(ps, np.float64)
    order = np.argsort(adjusted, kind="stable")[: int(np.isfinite(adjusted).sum())]  # NaN are last
    times = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(adjusted[order] * times), 1)
    return [float(p) for p in adjusted]


def _right(of: Predictions) -> np.ndarray:
    return of.probs.argmax(axis=1) == of.labels


def _twice_the_median(ps: Sequence[float]) -> float:
    if len(ps) < 2:
        return ps[0] if ps else math.nan
    return min(2 * sorted(ps)[(len(ps) - 1) // 2], 1.0)
