"""Resamples of the test images, and what a measure is of each resample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.study.statistics.measures import Measure
from imil.study.statistics.weighted import Counts, Values
from imil.study.study_folder import Predictions

DRAWS = 500  # a standard error from so many is itself off by 3 %
CELLS = 2_000_000  # counts held at once: 16 MB

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Images:
    """The images of several units, and how they are drawn.

    Args:
        of_units: for each unit the positions of its images among all.
        groups: for each image what is drawn in its stead: itself, or its patient.
        strata: the groups that are drawn among each other: those of one class.
    """

    of_units: list[Indices]
    groups: Indices
    strata: list[Indices]

    @property
    def drawn(self) -> int:
        """How many things are drawn: images, or patients."""
        return sum(map(len, self.strata))

    def counts(self, draws: int, rng: np.random.Generator) -> Iterator[Counts]:
        """How often each image is drawn, (some, images) at a time, `draws` in all."""
        at_once = max(1, CELLS // max(len(self.groups), 1))
        for start in range(0, draws, at_once):
            some = min(at_once, draws - start)
            of_groups = np.zeros((some, self.drawn))
            for stratum in self.strata:
                of_groups[:, stratum] = _drawn(some, len(stratum), rng)
            yield _columns(of_groups, self.groups)


def images_of(units: Sequence[Predictions], patients: Mapping[str, str] | None = None) -> Images:
    """The images of all units, each once.

    Args:
        units: predictions on the same images or on others.
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
    return Images(
        [np.array([position[key] for key in unit.keys], np.intp) for unit in units],
        groups,
        [np.flatnonzero(highest == k) for k in np.unique(highest)],
    )


def resampled(
    units: Sequence[Predictions],
    measure: Measure,
    images: Images,
    *,
    seed: int,
    draws: int = DRAWS,
) -> Values:
    """The measure of each unit in each resample of the images, (draws, units).

    An image that is drawn twice is drawn twice in every unit that tests on it: units share
    images, and what an image is like does not average out over them. Images are drawn within
    their class, as splits are. The same seed and images give the same resamples, whatever the
    measure and the predictions, so that arms can be compared.

    Args:
        units: predictions on those images.
        measure: from `MEASURES`.
        images: from `images_of`, of units with the same keys.
        seed: of the draws.
        draws: how many resamples.
    """
    parts = [
        np.stack(
            [
                measure.drawn(unit.probs, unit.labels, _columns(counts, own))
                for unit, own in zip(units, images.of_units, strict=True)
            ],
            axis=1,
        )
        for counts in images.counts(draws, np.random.default_rng(seed))
    ]
    return np.concatenate(parts)


def _columns(counts: Counts, wanted: Indices) -> Counts:
    """Those columns; without a copy where they are all, in their order."""
    every = len(wanted) == counts.shape[1] and bool((np.diff(wanted) == 1).all())
    return counts if every else counts[:, wanted]


def _groups(keys: Sequence[str], patients: Mapping[str, str]) -> Indices:
    # an image without a patient is its own; the marks keep names of both kinds apart
    names = [("patient", patients[key]) if patients.get(key) else ("image", key) for key in keys]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], np.intp)


def _drawn(draws: int, of: int, rng: np.random.Generator) -> Counts:
    """How often each of `of` things comes up when as many are drawn, (draws, of)."""
    flat = rng.integers(0, of, (draws, of)) + of * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * of).reshape(draws, of).astype(np.float64)
