"""The standard error of a mean over trainings, from the images and from the trainings.

A unit is one training, by seed and split. Two things are random: which images the test set
happens to hold, and the result of a training with that seed and on that split. Resampling seeds
alone, or (seed, image) pairs, gets both wrong: units that are tested on the same images share the
sampling error of those images, which no number of seeds averages out; and resampling three seeds
yields two thirds of their variance, without the uncertainty of estimating it from three.

So images are resampled, the same in every unit, and units are compared:

    variance of the mean = variance of the mean over the resamples of the images
                           + (variance between units - what the images explain of it) / units

with a t distribution, because units are few. It is the analysis of Obuchowski and Rockette (1995)
for studies in which several readers read the same cases: a seed is a reader. No library that we
know resamples cases that several models share, so it is implemented here. Degrees of freedom are
those of Hillis (2007), who shows by simulation that they hold for few readers. So an interval is
never narrower than it would be for other images alone, also where three seeds agree by chance
(accuracy moves in steps of one image). Where the variance between three units is small by chance,
it has little weight, and the interval is too narrow: coverage falls to 92 %. Two safeguards
are our own, tuned by simulation (tests/test_study_statistics_coverage.py):

- Only half of what images explain is taken off the variance between units (`NOISE_SHARE`).
- The rest of the variance between units counts twice in the degrees of freedom
  (`BETWEEN_WEIGHT`).

Coverage is then 93 to 97 % for one unit and for three and more, and 98 % where trainings hardly
differ or several seeds are trained on each of several splits. For two units it may fall to 86 %.

A p that is corrected for the number of arms lies far out in the tail, where the uncertainty of a
variance from few units weighs more: of simulated studies without an effect whose three seeds
differed much, 3 % had a p below 0.006. So a p has at most twice the units' own degrees of freedom
(`P_DF_FACTOR`). Then 0.6 % have it, and an interval may exclude zero where p is not below 0.05.

Seeds of one of several splits are not independent units: the splits' means are compared. Two
splits then say little, however many seeds they have; plan one split, or four and more.

With one unit the interval covers the sampling of images alone: the variation between seeds is
not known. Resampling makes the bins of a calibration error noisier than they are: with one unit
its intervals are slightly wide, and cover 98 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imil.metrics import Values

NOISE_SHARE = 0.5  # of the variance that the images explain, taken off that between units
BETWEEN_WEIGHT = 2.0  # of the variance between units in the degrees of freedom
P_DF_FACTOR = 2.0  # a p has at most so many times the units' own degrees of freedom
MIN_RESAMPLES = 100  # in which the measure is defined


@dataclass(frozen=True)
class VarianceSources:
    """What a standard error over several units is made of, as variances.

    Args:
        images: of the mean over the resamples of the images, units as they are.
        between: of the clusters' means, as observed.
        noise: how much of `between` the images explain.
        share: of the clusters' variance that is left in the mean: 1 / clusters, where all are
            equally large.
        clusters: how many are compared.
        images_df: degrees of freedom of the images; the standard error has at most as many.
    """

    images: float
    between: float
    noise: float
    share: float
    clusters: int
    images_df: int

    @property
    def variance(self) -> float:
        """Of the mean, estimated without the safeguards."""
        return self.images + max(self.between - self.noise, 0.0) * self.share

    @property
    def max_df_of_p(self) -> float:
        """The most degrees of freedom that a p may have."""
        return P_DF_FACTOR * (self.clusters - 1)

    def errors(self, between: Values) -> tuple[Values, Values]:
        """Standard errors and degrees of freedom, if `between` had these values."""
        extra = np.maximum(between - NOISE_SHARE * self.noise, 0.0) * self.share
        # Satterthwaite: 1 / df is the squared share of what is estimated from few units alone
        weighted = BETWEEN_WEIGHT * extra
        part = weighted / np.maximum(self.images + weighted, math.ulp(0))
        df = 1 / np.maximum(part**2 / (self.clusters - 1), 1 / self.images_df)
        return np.sqrt(self.images + extra), df


@dataclass(frozen=True)
class StandardError:
    """The standard error of an estimate; NaN where it cannot be estimated.

    Args:
        error: in the measure's unit.
        df: the degrees of freedom of its t distribution.
        sources: its parts; None with one unit, where the images are the only source.
    """

    error: float
    df: float
    sources: VarianceSources | None = None

    def quantile(self, level: float = 0.95) -> float:
        """Half the width of an interval of that level, in standard errors."""
        return float(stats.t.ppf((1 + level) / 2, self.df))

    def half_width(self, level: float = 0.95) -> float:
        """Half the width of an interval of that level, in the measure's unit."""
        return self.quantile(level) * self.error

    def p(self, value: float) -> float:
        """Two-sided p of that estimate if the true value is 0; NaN where there is no error.

        Cautious with few units, see the top of this file.
        """
        if not self.error:  # nothing varies
            return float(value == 0)
        df = self.df if self.sources is None else min(self.df, self.sources.max_df_of_p)
        return float(2 * stats.t.sf(abs(value) / self.error, df))


UNKNOWN_ERROR = StandardError(math.nan, math.nan)


def standard_error(
    values: Values,
    resampled: Values,
    clusters: NDArray[np.intp],
    drawn: int,
    strata: int,
    *,
    minimum: float = 0.0,
) -> StandardError:
    """The standard error of the mean of `values`; see the top of this file.

    Args:
        values: float (units,), a measure of each unit, or a difference between paired arms.
        resampled: float (R, units), the same in each resample of the images; NaN where it is not
            defined.
        clusters: int (units,), from 0 without a gap: only units of different clusters are
            independent given the images.
        drawn: how many images (or patients) a resample draws.
        strata: from how many classes.
        minimum: the standard error that the images bring is at least that.
    Source: Obuchowski and Rockette 1995; Hillis 2007.
    """
    resampled = resampled[np.isfinite(resampled).all(axis=1)]
    if drawn <= strata or len(resampled) < MIN_RESAMPLES:
        return UNKNOWN_ERROR
    # a resample of n has (n-1)/n of the variance, in every class
    resampled = resampled * math.sqrt(drawn / (drawn - strata))
    images = max(float(resampled.mean(axis=1).var(ddof=1)), minimum**2)
    if clusters.max() == 0:
        return StandardError(math.sqrt(images), drawn - strata)
    return _over_clusters(values, resampled, clusters, images, drawn - strata)


def _over_clusters(
    values: Values, resampled: Values, clusters: NDArray[np.intp], images: float, images_df: int
) -> StandardError:
    sizes = np.bincount(clusters)
    to_means = np.eye(len(sizes))[clusters] / sizes[clusters][:, None]  # (units, clusters)
    between = float((((values @ to_means) - values.mean()) ** 2).sum()) / (len(sizes) - 1)
    deviations = resampled @ to_means - resampled.mean(axis=1, keepdims=True)
    noise = float(deviations.var(axis=0, ddof=1).sum()) / (len(sizes) - 1)
    share = float(((sizes / len(values)) ** 2).sum())
    sources = VarianceSources(images, between, noise, share, len(sizes), images_df)
    error, df = sources.errors(np.array(between))
    return StandardError(float(error), float(df), sources)
