"""McNemar's test of two trained networks, and p-values combined and corrected.

McNemar's and DeLong's tests compare two networks as they were trained. Whether the methods that
trained them differ is another question, which one seed cannot answer: see `paired`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from imil.metrics import is_correct
from imil.predictions import Predictions
from imil.study.statistics.estimates import check_pairs


def mcnemar(arm: Predictions, base: Predictions) -> float:
    """Exact two-sided p of equal accuracy of two networks, in [0, 1].

    Only images count on which one of them is correct and the other wrong: with equal accuracy each
    of the two is correct on half of those. 1 where there is none.

    Args:
        arm, base: predictions for the same images.
    Raises: ShapeError: the images differ.
    Source: McNemar 1947, with the binomial distribution.
    """
    check_pairs([arm], [base])
    of_arm, of_base = (is_correct(one.probs, one.labels) for one in (arm, base))
    gained, lost = int(np.sum(of_arm & ~of_base)), int(np.sum(~of_arm & of_base))
    return float(binomtest(min(gained, lost), gained + lost).pvalue) if gained + lost else 1.0


def combined(ps: Sequence[float], differences: Sequence[float] | None = None) -> float:
    """One p over units, in [0, 1]: twice their median. NaN are left out; NaN if none remains.

    Units share images, and splits share training images, so their p-values depend on each other
    in an unknown way. `scipy.stats.combine_pvalues` (Fisher, Stouffer) assumes independence, and
    would take the same images, counted three times, for evidence. Twice the median is valid under
    any dependence: where no unit differs, half of the p-values lie below a/2 in at most a of all
    studies (Markov). Of an even number the lower middle one is the median. One p is unchanged.

    Args:
        ps: two-sided p of each unit.
        differences: arm minus base of each unit. If given, units that contradict each other are
            no evidence: the p-values of each direction are combined, and the smaller one doubled.
    Source: Rüschendorf 1982; Meinshausen et al. 2009, theorem 3.1; Vovk and Wang 2020.

    >>> combined([0.01, 0.02, 0.9])
    0.04
    >>> combined([0.01, 0.01, 0.9], [0.1, -0.1, 0.0])
    1.0
    """
    if differences is None:
        return _twice_the_median([p for p in ps if not math.isnan(p)])
    known = [(p, d) for p, d in zip(ps, differences, strict=True) if not math.isnan(p)]
    up = _twice_the_median([p / 2 if d > 0 else 1 - p / 2 for p, d in known])
    down = _twice_the_median([p / 2 if d < 0 else 1 - p / 2 for p, d in known])
    return min(2 * up, 2 * down, 1.0) if known else math.nan


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values, adjusted so that any of them is below 0.05 by chance in at most 5 % of studies.

    NaN stay NaN and do not count. (Statsmodels' `multipletests` runs the garbage collector in
    every call: 0.2 s with torch loaded.)

    Source: Holm 1979.

    >>> holm([0.01, 0.04, math.nan, 0.03])
    [0.03, 0.06, nan, 0.06]
    """
    adjusted = np.array(ps, np.float64)
    order = np.argsort(adjusted, kind="stable")[: int(np.isfinite(adjusted).sum())]  # NaN are last
    factor = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(adjusted[order] * factor), 1)
    return [float(p) for p in adjusted]


def _twice_the_median(ps: Sequence[float]) -> float:
    if len(ps) < 2:
        return ps[0] if ps else math.nan
    return min(2 * sorted(ps)[(len(ps) - 1) // 2], 1.0)
