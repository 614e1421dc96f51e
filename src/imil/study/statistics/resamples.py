"""Resamples of the test images, and the value of a measure in each of them.

scipy.stats.bootstrap resamples one sample for one statistic. Here several trainings share images,
which must be drawn alike in all of them, and images of a patient must be drawn together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.metrics import Values, Weights
from imil.predictions import Predictions
from imil.study.statistics.measures import Measure

RESAMPLES = 500  # a standard error from so many has itself an error of 3 %
MAX_COUNTS = 2_000_000  # counts in memory at once: 16 MB

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class ImageGroups:
    """The images of several units, and how they are resampled.

    Args:
        of_units: for each unit the positions of its images among all.
        groups: for each image the group that is drawn with it: itself, or its patient.
        strata: the groups of each class; groups are drawn within their class.
    """

    of_units: list[Indices]
    groups: Indices
    strata: list[Indices]

    @property
    def drawn(self) -> int:
        """How many groups a resample draws: images, or patients."""
        return sum(map(len, self.strata))

    def counts(self, resamples: int, rng: np.random.Generator) -> Iterator[Weights]:
        """How often each image is drawn, in parts of (r, images), `resamples` rows in all."""
        at_once = max(1, MAX_COUNTS // max(len(self.groups), 1))
        for start in range(0, resamples, at_once):
            rows = min(at_once, resamples - start)
            of_groups = np.zeros((rows, self.drawn))
            for stratum in self.strata:
                of_groups[:, stratum] = _draw(rows, len(stratum), rng)
            yield _columns(of_groups, self.groups)


def images_of(
    units: Sequence[Predictions], patients: Mapping[str, str] | None = None
) -> ImageGroups:
    """The images of all units, each once.

    Args:
        units: predictions for the same images or for others.
        patients: image to patient, where known: all images of a patient are drawn together.
    """
    labels: dict[str, int] = {}
    for unit in units:
        labels.update(zip(unit.keys, map(int, unit.labels), strict=True))
    position = {key: i for i, key in enumerate(labels)}
    groups = _groups(list(labels), patients or {})
    of_images = np.array(list(labels.values()), np.int64)
    # a patient with images of several classes counts with the highest
    highest = np.full(groups.max(initial=-1) + 1, -1)
    np.maximum.at(highest, groups, of_images)
    return ImageGroups(
        [np.array([position[key] for key in unit.keys], np.intp) for unit in units],
        groups,
        [np.flatnonzero(highest == k) for k in np.unique(highest)],
    )


def resampled(
    units: Sequence[Predictions],
    measure: Measure,
    images: ImageGroups,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Values:
    """The measure of each unit in each resample of the images, (resamples, units).

    An image that is drawn twice is drawn twice in every unit that tests on it: units share
    images, so the effect of an image does not average out over them. Images are drawn within
    their class, as splits are. The same seed and images give the same resamples, whatever the
    measure and the predictions, so that arms can be compared.

    Args:
        units: predictions for those images.
        measure: from `MEASURES`.
        images: from `images_of`, of units with the same keys.
        seed: of the draws.
        resamples: how many.
    """
    parts = [
        np.stack(
            [
                measure.metric(unit.probs, unit.labels, _columns(counts, positions))
                for unit, positions in zip(units, images.of_units, strict=True)
            ],
            axis=1,
        )
        for counts in images.counts(resamples, np.random.default_rng(seed))
    ]
    return np.concatenate(parts)


def _columns(counts: Weights, wanted: Indices) -> Weights:
    """Those columns; without a copy where they are all, in their order."""
    every = len(wanted) == counts.shape[1] and bool((np.diff(wanted) == 1).all())
    return counts if every else counts[:, wanted]


def _groups(keys: Sequence[str], patients: Mapping[str, str]) -> Indices:
    # an image without a patient is a group of its own; the kind keeps equal names apart
    names = [("patient", patients[key]) if patients.get(key) else ("image", key) for key in keys]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], np.intp)


def _draw(rows: int, n: int, rng: np.random.Generator) -> Weights:
    """How often each of n is drawn when n are drawn with replacement, (rows, n)."""
    flat = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(flat.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
