"""How far a mean over units may be off, from its images and from its units.

A unit is one training, by seed and split. Two things are left to chance: which images the test
set happens to hold, and how a training with that seed and on that split happens to come out.
Resampling seeds alone, or (seed, image) pairs, gets both wrong: units that are tested on the same
images share the luck of those images, which no number of seeds averages out; and three seeds,
resampled, show two thirds of their variance and nothing of how little three of them can say.

So images are resampled, the same in every unit, and units are compared:

    variance of the mean = what the images bring to it, units as they are (over the resamples)
                           + what units differ by beyond what their images explain / their number

with a t distribution, because units are few. It is the analysis of Obuchowski and Rockette (1995)
for studies in which several readers read the same cases: a seed is a reader. Degrees of freedom
are those of Hillis (2007), who shows by simulation that they hold for few readers. So an interval
is never narrower than it would be for other images alone, also where three seeds agree by accident
(accuracy moves in steps of one image). Where the variance between three units is small by accident
it counts for little, and the interval is too narrow just then: coverage falls to 92 %. Two guards
against it are ours, found by simulation (tests/test_study_statistics_coverage.py):

- Only half of what images explain is taken off the variance between units (`EXPLAINED`).
- What units differ by beyond it counts twice in the degrees of freedom (`CAUTION`).

Coverage is then 93 to 97 % for one unit and for three and more, and 98 % where trainings hardly
differ or several seeds are trained on each of several splits. For two units it may fall to 86 %.

A p that is corrected for the number of arms asks how rare a difference is far out, where luck
among few units weighs more: of studies without an effect whose three seeds differed much, 3 % had
a p below 0.006. So a p has at most twice the units' own degrees of freedom (`AGREED`). Then 0.6 %
have it, and an interval may exclude zero where p is not below 0.05.

Seeds of one of several splits are not independent units: the splits' means are compared. Two
splits then say little, however many seeds they have; plan one split, or four and more.

With one unit the images alone are in it: what another seed would bring is not known. Resampling
makes the bins of a calibration error noisier than they are: with one unit its intervals are a
little wide, and cover 98 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imil.study.statistics.weighted import Values

EXPLAINED = 0.5  # of the variance that images bring to what tells units apart
CAUTION = 2.0  # times that the units' part counts in the degrees of freedom
AGREED = 2.0  # times the units' degrees of freedom are the most that a p has
ENOUGH = 100  # resamples in which the measure exists


@dataclass(frozen=True)
class Sources:
    """What a standard error over several units is made of, as variances.

    Args:
        images: what the images bring to the mean, units as they are.
        between: of the clusters' means, as they were found.
        noise: how much of that the images explain.
        share: of the clusters' variance that is left in the mean: 1 / clusters, where all are
            equally large.
        clusters: how many are compared.
        most: degrees of freedom of the images.
    """

    images: float
    between: float
    noise: float
    share: float
    clusters: int
    most: int

    @property
    def variance(self) -> float:
        """Of the mean, by the best guess and without the guards."""
        return self.images + max(self.between - self.noise, 0.0) * self.share

    @property
    def most_of_p(self) -> float:
        """Degrees of freedom that a p has at most."""
        return AGREED * (self.clusters - 1)

    def errors(self, between: Values) -> tuple[Values, Values]:
        """Standard error and degrees of freedom where clusters differ by so much."""
        beyond = np.maximum(between - EXPLAINED * self.noise, 0.0) * self.share
        # Satterthwaite: 1 / freedom is the squared share of what is known from few units alone
        part = CAUTION * beyond / np.maximum(self.images + CAUTION * beyond, math.ulp(0))
        freedom = 1 / np.maximum(part**2 / (self.clusters - 1), 1 / self.most)
        return np.sqrt(self.images + beyond), freedom


@dataclass(frozen=True)
class StandardError:
    """How far an estimate may be off; NaN where that cannot be told.

    Args:
        error: the standard error, in the measure's unit.
        freedom: the degrees of freedom of its t distribution.
        sources: where it comes from; None with one unit, whose images are all there is.
    """

    error: float
    freedom: float
    sources: Sources | None = None

    def quantile(self, level: float = 0.95) -> float:
        """How many standard errors the two ends of an interval of that level are away."""
        return float(stats.t.ppf((1 + level) / 2, self.freedom))

    def reach(self, level: float = 0.95) -> float:
        """How far the two ends are away, in the measure's unit."""
        return self.quantile(level) * self.error

    def p(self, value: float) -> float:
        """Two-sided p of a value so far from zero, cautious with few units; NaN: not known."""
        if not self.error:  # nothing varies
            return float(value == 0)
        freedom = self.freedom
        if self.sources is not None:
            freedom = min(freedom, self.sources.most_of_p)
        return float(2 * stats.t.sf(abs(value) / self.error, freedom))


NOT_KNOWN = StandardError(math.nan, math.nan)


def standard_error(
    values: Values,
    draws: Values,
    clusters: NDArray[np.intp],
    drawn: int,
    strata: int,
    *,
    least: float = 0.0,
) -> StandardError:
    """The standard error of the mean of `values`; see the top of this file.

    Args:
        values: float (units,), a measure of each unit, or a difference between paired arms.
        draws: float (B, units), the same in each resample of the images; NaN where it is not.
        clusters: int (units,), from 0 without a gap: only units of different clusters are
            independent given the images.
        drawn: how many images (or patients) were resampled.
        strata: in how many classes.
        least: the images bring at least that, as a standard error.
    Source: Obuchowski and Rockette 1995; Hillis 2007.
    """
    draws = draws[np.isfinite(draws).all(axis=1)]
    if drawn <= strata or len(draws) < ENOUGH:
        return NOT_KNOWN
    # a resample of n has (n-1)/n of the variance, in every class
    draws = draws * math.sqrt(drawn / (drawn - strata))
    images = max(float(draws.mean(axis=1).var(ddof=1)), least**2)
    if clusters.max() == 0:
        return StandardError(math.sqrt(images), drawn - strata)
    return _over_units(values, draws, clusters, images, drawn - strata)


def _over_units(
    values: Values, draws: Values, clusters: NDArray[np.intp], images: float, most: int
) -> StandardError:
    sizes = np.bincount(clusters)
    means = np.eye(len(sizes))[clusters] / sizes[clusters][:, None]  # (units, clusters)
    between = float((((values @ means) - values.mean()) ** 2).sum()) / (len(sizes) - 1)
    apart = draws @ means - draws.mean(axis=1, keepdims=True)
    noise = float(apart.var(axis=0, ddof=1).sum()) / (len(sizes) - 1)
    share = float(((sizes / len(values)) ** 2).sum())
    sources = Sources(images, between, noise, share, len(sizes), most)
    error, freedom = sources.errors(np.array(between))
    return StandardError(float(error), float(freedom), sources)
