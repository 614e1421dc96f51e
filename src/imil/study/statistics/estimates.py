"""Means over units and differences between paired arms, each with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.errors import ShapeError
from imil.metrics import Values
from imil.predictions import Predictions
from imil.study.statistics.measures import MEASURES, Measure
from imil.study.statistics.resamples import RESAMPLES, images_of, resampled
from imil.study.statistics.standard_error import UNKNOWN_ERROR, StandardError, standard_error
from imil.study.statistics.wilson import wilson


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; NaN where it cannot be computed."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; if it does not, no difference is shown."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Difference(Interval):
    """A difference between paired arms, with what `smallest_effect` needs.

    Args:
        units: for how many (seed, split) it is defined.
        standard_error: of the difference.
    """

    units: int
    standard_error: StandardError

    @property
    def p(self) -> float:
        """Two-sided p of no difference, from the interval's standard error; NaN if that is NaN."""
        return self.standard_error.p(self.value)


NO_DIFFERENCE = Difference(math.nan, math.nan, math.nan, 0, UNKNOWN_ERROR)


@dataclass(frozen=True)
class Spread:
    """A measure over units.

    Args:
        mean: over the units.
        sd: standard deviation between units; NaN for one.
        interval: of the mean, for other images and other units of the same kind; with one unit
            for other images alone.
        units: for how many (seed, split) the measure is defined.
    """

    mean: float
    sd: float
    interval: Interval
    units: int


def spread(
    units: Sequence[Predictions],
    measure: str | Measure,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    patients: Mapping[str, str] | None = None,
    splits: Sequence[int] | None = None,
) -> Spread:
    """Mean, standard deviation and 95 % interval of a measure over units.

    The method: `imil.study.statistics.standard_error`, and `wilson` for shares.

    Args:
        units: predictions of one arm, one for each (seed, split).
        measure: a name of `MEASURES`, or another measure of these predictions.
        seed: of the resamples.
        resamples: how many.
        patients: image to patient, where known: images of a patient are resampled together.
        splits: on which split each unit was trained. If not given, units that predict the same
            images are of one split: so it is in the test set, not in an external one.
    """
    wanted = MEASURES[measure] if isinstance(measure, str) else measure
    values = _values(units, wanted)
    defined = _defined(values)
    if not defined:
        return Spread(math.nan, math.nan, Interval(math.nan, math.nan, math.nan), 0)
    clusters = _clusters(units, splits, defined)
    units, values = [units[i] for i in defined], values[defined]
    images = images_of(units, patients)
    of_resamples = resampled(units, wanted, images, seed=seed, resamples=resamples)
    error = standard_error(values, of_resamples, clusters, images.drawn, len(images.strata))
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else math.nan
    if wanted.share:
        images_of_share, maximum = _images_of_share(wanted, units), _max_images(wanted, units)
        low, high = wilson(mean, error, of_images=images_of_share, at_most=maximum)
    else:
        half_width = error.half_width()
        low, high = max(mean - half_width, wanted.minimum), min(mean + half_width, wanted.maximum)
    return Spread(mean, sd, Interval(mean, low, high), len(values))


def paired(
    arm: Sequence[Predictions],
    base: Sequence[Predictions],
    measure: str | Measure,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    patients: Mapping[str, str] | None = None,
    splits: Sequence[int] | None = None,
) -> Difference:
    """The mean difference of a measure, arm minus base, with its 95 % interval.

    The method: `imil.study.statistics.standard_error`.

    Args:
        arm, base: the i-th of each are a pair: same seed, split and images.
        measure, seed, resamples, patients, splits: as for `spread`.
    Raises: ShapeError: they are not pairs.
    """
    check_pairs(arm, base)
    wanted = MEASURES[measure] if isinstance(measure, str) else measure
    values = _values(arm, wanted) - _values(base, wanted)
    defined = _defined(values)
    if not defined:
        return NO_DIFFERENCE
    both = [arm[i] for i in defined] + [base[i] for i in defined]
    images = images_of(both, patients)
    of_resamples = resampled(both, wanted, images, seed=seed, resamples=resamples)
    error = standard_error(
        values[defined],
        of_resamples[:, : len(defined)] - of_resamples[:, len(defined) :],
        _clusters(arm, splits, defined),
        images.drawn,
        len(images.strata),
        minimum=_minimum_error(wanted, both[: len(defined)]),
    )
    value, half_width = float(values[defined].mean()), error.half_width()
    widest = wanted.maximum - wanted.minimum
    low, high = max(value - half_width, -widest), min(value + half_width, widest)
    return Difference(value, low, high, len(defined), error)


def _values(units: Sequence[Predictions], measure: Measure) -> Values:
    return np.array([measure.value(unit.probs, unit.labels) for unit in units], np.float64)


def _defined(values: Values) -> list[int]:
    """The positions of the units for which the measure is defined."""
    return [i for i, value in enumerate(values) if math.isfinite(value)]


def clusters_of(units: Sequence[Predictions], splits: Sequence[int] | None) -> NDArray[np.intp]:
    """The cluster of each unit, from 0: see `_clusters`."""
    return _clusters(units, splits, range(len(units)))


def _clusters(
    units: Sequence[Predictions], splits: Sequence[int] | None, defined: Sequence[int]
) -> NDArray[np.intp]:
    """The cluster of each unit for which the measure is defined, from 0.

    Its split, or each unit by itself where there is only one split.
    """
    every = list(splits) if splits is not None else [frozenset(unit.keys) for unit in units]
    names = [every[i] for i in defined]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if len(number) == 1:
        return np.arange(len(names), dtype=np.intp)
    return np.array([number[name] for name in names], np.intp)


def _images_of_share(measure: Measure, units: Sequence[Predictions]) -> float:
    """The mean number of images that the measure is a share of: of a class, the smallest."""
    if measure.share == "images":
        return float(np.mean([len(unit) for unit in units]))
    return float(np.mean([np.unique(unit.labels, return_counts=True)[1].min() for unit in units]))


def _max_images(measure: Measure, units: Sequence[Predictions]) -> int:
    """The largest effective number of images of a share; a share of pairs has twice as many."""
    return sum(map(len, units)) * (2 if measure.share == "pairs" else 1)


def _minimum_error(measure: Measure, units: Sequence[Predictions]) -> float:
    """The smallest standard error of a difference between shares of images: that of two images.

    Two arms that are correct on the same images do not differ in any resample, but they might
    have differed on another image. One image for either side is what Bonett and Price (2012) add.
    """
    counted = measure.share in ("images", "class")
    return math.sqrt(2 / len(units)) / _images_of_share(measure, units) if counted else 0.0


def check_pairs(arm: Sequence[Predictions], base: Sequence[Predictions]) -> None:
    """Refuse predictions that cannot be compared image by image.

    Raises: ShapeError: their number, keys or labels differ.
    """
    if len(arm) != len(base):
        raise ShapeError(
            f"{len(arm)} trainings of an arm cannot be paired with {len(base)} of the baseline: "
            "give those of the same seeds and splits"
        )
    for a, b in zip(arm, base, strict=True):
        if a.keys != b.keys or not np.array_equal(a.labels, b.labels):
            raise ShapeError(
                "an arm and the baseline were tested on different images: "
                "give predictions of the same set and split, in the same order"
            )
