"""Means over units and differences between paired arms, each with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.errors import ShapeError
from imil.study.statistics.measures import MEASURES, Measure
from imil.study.statistics.resamples import DRAWS, images_of, resampled
from imil.study.statistics.standard_error import NOT_KNOWN, StandardError, standard_error
from imil.study.statistics.wilson import wilson
from imil.study.study_folder import Predictions


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; NaN where it cannot be computed."""

    value: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether it excludes zero; if it does not, no difference is shown."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Difference(Interval):
    """A difference between paired arms, with what `smallest_effect` needs.

    Args:
        units: in how many (seed, split) it exists.
        off: its standard error.
    """

    units: int
    off: StandardError

    @property
    def p(self) -> float:
        """Two-sided p of no difference, by the interval's own error; NaN where that is NaN."""
        return self.off.p(self.value)


NO_DIFFERENCE = Difference(math.nan, math.nan, math.nan, 0, NOT_KNOWN)


@dataclass(frozen=True)
class Spread:
    """A measure over units.

    Args:
        mean: of the units.
        sd: standard deviation between units; NaN for one.
        interval: of the mean, for other images and other units of the same kind; with one unit
            for other images alone.
        units: in how many (seed, split) the measure exists.
    """

    mean: float
    sd: float
    interval: Interval
    units: int


def spread(
    units: Sequence[Predictions],
    measure: str,
    *,
    seed: int,
    draws: int = DRAWS,
    patients: Mapping[str, str] | None = None,
    splits: Sequence[int] | None = None,
) -> Spread:
    """Mean, standard deviation and 95 % interval of a measure over units.

    How, and why so: `imil.study.statistics.standard_error`, and `wilson` for shares.

    Args:
        units: predictions of one arm, one for each (seed, split).
        measure: a name of `MEASURES`.
        seed: of the resamples.
        draws: how many resamples.
        patients: image to patient, where known: images of a patient are resampled together.
        splits: on which split each unit was trained. If not given, units that predict the same
            images are of one split: so it is in the test set, not in an external one.
    """
    of = MEASURES[measure]
    values = _values(units, of)
    kept = _there(values)
    if not kept:
        return Spread(math.nan, math.nan, Interval(math.nan, math.nan, math.nan), 0)
    clusters = _clusters(units, splits, kept)
    units, values = [units[i] for i in kept], values[kept]
    images = images_of(units, patients)
    drawn = resampled(units, of, images, seed=seed, draws=draws)
    error = standard_error(values, drawn, clusters, images.drawn, len(images.strata))
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else math.nan
    if of.share:
        low, high = wilson(mean, error, of_images=_size(of, units), at_most=_most(of, units))
    else:
        low, high = max(mean - error.reach(), 0.0), min(mean + error.reach(), of.most)
    return Spread(mean, sd, Interval(mean, low, high), len(values))


def paired(
    arm: Sequence[Predictions],
    base: Sequence[Predictions],
    measure: str,
    *,
    seed: int,
    draws: int = DRAWS,
    patients: Mapping[str, str] | None = None,
    splits: Sequence[int] | None = None,
) -> Difference:
    """The mean difference of a measure, arm minus base, with its 95 % interval.

    How, and why so: `imil.study.statistics.standard_error`.

    Args:
        arm, base: the i-th of both belong together: same seed, split and images.
        measure, seed, draws, patients, splits: as for `spread`.
    Raises: ShapeError: they do not belong together.
    """
    check_pairs(arm, base)
    of = MEASURES[measure]
    values = _values(arm, of) - _values(base, of)
    kept = _there(values)
    if not kept:
        return NO_DIFFERENCE
    both = [arm[i] for i in kept] + [base[i] for i in kept]
    images = images_of(both, patients)
    drawn = resampled(both, of, images, seed=seed, draws=draws)
    error = standard_error(
        values[kept],
        drawn[:, : len(kept)] - drawn[:, len(kept) :],
        _clusters(arm, splits, kept),
        images.drawn,
        len(images.strata),
        least=_least(of, both[: len(kept)]),
    )
    value, reach = float(values[kept].mean()), error.reach()
    low, high = max(value - reach, -of.most), min(value + reach, of.most)
    return Difference(value, low, high, len(kept), error)


def _values(units: Sequence[Predictions], of: Measure) -> NDArray[np.float64]:
    return np.array([of.of(unit.probs, unit.labels) for unit in units], np.float64)


def _there(values: NDArray[np.float64]) -> list[int]:
    """The units in which the measure exists."""
    return [i for i, value in enumerate(values) if math.isfinite(value)]


def _clusters(
    units: Sequence[Predictions], splits: Sequence[int] | None, kept: Sequence[int]
) -> NDArray[np.intp]:
    """Which of the kept units are compared as one.

    Those of a split, or each by itself where there is only one split.
    """
    every = list(splits) if splits is not None else [frozenset(unit.keys) for unit in units]
    names = [every[i] for i in kept]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if len(number) == 1:
        return np.arange(len(names), dtype=np.intp)
    return np.array([number[name] for name in names], np.intp)


def _size(of: Measure, units: Sequence[Predictions]) -> float:
    """Of how many images in a unit the measure is a share: of a class, those of the smallest."""
    if of.share == "images":
        return float(np.mean([len(unit) for unit in units]))
    return float(np.mean([np.unique(unit.labels, return_counts=True)[1].min() for unit in units]))


def _most(of: Measure, units: Sequence[Predictions]) -> int:
    """How many images a share can be worth; one of pairs is worth more than one of images."""
    return sum(map(len, units)) * (2 if of.share == "pairs" else 1)


def _least(of: Measure, units: Sequence[Predictions]) -> float:
    """The standard error of a difference between shares of images is at least that of two.

    Two arms that are right on the same images have no spread in any resample, but another image
    might have told them apart. One image for either side is what Bonett and Price (2012) add.
    """
    counted = of.share in ("images", "class")
    return math.sqrt(2 / len(units)) / _size(of, units) if counted else 0.0


def check_pairs(arm: Sequence[Predictions], base: Sequence[Predictions]) -> None:
    """Refuse predictions that cannot be compared image by image.

    Raises: ShapeError: their number, keys or labels differ.
    """
    if len(arm) != len(base):
        raise ShapeError(
            f"{len(arm)} trainings of an arm and {len(base)} of the baseline are no pairs: "
            "give those of the same seeds and splits"
        )
    for a, b in zip(arm, base, strict=True):
        if a.keys != b.keys or not np.array_equal(a.labels, b.labels):
            raise ShapeError(
                "an arm and the baseline were tested on different images: "
                "give predictions of the same set and split, in the same order"
            )
