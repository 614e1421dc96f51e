"""What trainings predict with the planted shortcut for the class, against it, and without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from imil.errors import DataError
from imil.predictions import Predictions
from imil.study.arms import Arm
from imil.study.result_rows import BASE, SEED, patients_of
from imil.study.statistics import (
    ENERGY,
    NO_DIFFERENCE,
    Difference,
    Interval,
    Measure,
    Spread,
    energies,
    gap_closed,
    paired,
    side_by_side,
    spread,
)
from imil.study.statistics.gap_closed import UNKNOWN
from imil.study.study_folder import TEST, Job
from imil.study.study_predictions import StudyPredictions, Units

CLEAN = "no-shortcut"
CLOSED = ("accuracy_against", "auroc_against")  # measures for which `closed` is computed


@dataclass(frozen=True, eq=False)
class ShortcutTrainings:
    """The trainings that were tested with the shortcut for and against the class.

    Args:
        arms: those that have any, in the plan's order.
        units: arm to unit to predictions of `side_by_side`.
        energy: arm to unit to the heat-maps' energy on the shortcut, where it was measured.
        area: the share of the image that the shortcut's squares cover; NaN if not known.
        patients: image to patient, where known.
    """

    arms: tuple[Arm, ...]
    units: Mapping[str, Units]
    energy: Mapping[str, Units]
    area: float
    patients: Mapping[str, str]

    def of(self, measure: Measure) -> Mapping[str, Units]:
        """Arm to unit to the values that a measure is of."""
        return self.energy if measure is ENERGY else self.units

    def spread(self, arm: str, measure: Measure) -> Spread:
        """The arm's measure over its units."""
        units = self.of(measure)[arm]
        splits = [split for _, split in units]
        of_units = list(units.values())
        return spread(of_units, measure, seed=SEED, patients=self.patients, splits=splits)

    def difference(self, arm: str, other: str, measure: Measure) -> Difference:
        """The arm minus the other, over the units that both have."""
        units = self.of(measure)
        shared = sorted(set(units[arm]) & set(units.get(other, {})))
        if not shared or arm == other:
            return NO_DIFFERENCE
        return paired(
            [units[arm][unit] for unit in shared],
            [units[other][unit] for unit in shared],
            measure,
            seed=SEED,
            patients=self.patients,
            splits=[split for _, split in shared],
        )

    def closed(self, arm: Arm, measure: Measure) -> Interval:
        """The share of the gap that it closes, over the units that all three arms have."""
        if measure.name not in CLOSED or not arm.planted or arm.id == BASE or arm.share < 1:
            return UNKNOWN
        three = [self.units[name] for name in (arm.id, BASE, CLEAN) if name in self.units]
        shared = sorted(set.intersection(*map(set, three)))
        if len(three) < 3 or not shared:
            return UNKNOWN
        of_arm, of_base, of_clean = ([one[unit] for unit in shared] for one in three)
        return gap_closed(
            of_arm,
            of_base,
            of_clean,
            measure,
            seed=SEED,
            patients=self.patients,
            splits=[split for _, split in shared],
        )

    def equal_units(self, arm: str, other: str) -> tuple[int, int]:
        """In how many of the units that both have they predict exactly the same, and how many."""
        one, two = self.units.get(arm, {}), self.units.get(other, {})
        shared = set(one) & set(two)
        equal = sum(np.array_equal(one[unit].probs, two[unit].probs) for unit in shared)
        return equal, len(shared)


def counterfactual_units(predictions: StudyPredictions) -> dict[str, Units]:
    """Arm to unit to what it predicts with the shortcut for, against and without: `side_by_side`.

    Raises: DataError: as `StudyPredictions.by_set`.
    """
    plain, with_for, against = (
        predictions.by_set[name] for name in (TEST, "test-for", "test-against")
    )
    return {
        arm: {
            unit: side_by_side(with_for[arm][unit], against[arm][unit], plain[arm][unit])
            for unit in sorted(set(plain[arm]) & set(with_for[arm]) & set(against[arm]))
        }
        for arm in plain
    }


def shortcut_trainings(predictions: StudyPredictions) -> ShortcutTrainings:
    """The trainings of a study with a shortcut that are done.

    Raises: DataError: as `StudyPredictions.by_set`; or a file of energy cannot be read.
    """
    units = counterfactual_units(predictions)
    arms = tuple(arm for arm in predictions.plan.rows if units[arm.id])
    tables = {
        arm.id: {
            unit: table
            for unit in units[arm.id]
            if (table := _read_energy(predictions.study.job(arm.id, *unit))) is not None
        }
        for arm in arms
    }
    energy = {
        arm: {unit: _energies(table) for unit, table in of_units.items()}
        for arm, of_units in tables.items()
    }
    areas = [float(t["area"].mean()) for of_units in tables.values() for t in of_units.values()]
    area = float(np.mean(areas)) if areas else nan
    return ShortcutTrainings(arms, units, energy, area, patients_of(predictions, TEST))


def _energies(table: pd.DataFrame) -> Predictions:
    return energies(table["energy"].to_numpy(np.float64), [str(key) for key in table["key"]])


def _read_energy(job: Job) -> pd.DataFrame | None:
    """The energy of its heat-maps on the shortcut, a row per image; None: it was not measured."""
    if not job.shortcut_focus.exists():
        return None
    try:
        return pd.read_parquet(job.shortcut_focus)
    except (OSError, ValueError) as error:
        raise DataError(f"{job.shortcut_focus} cannot be read: do the job again") from error
