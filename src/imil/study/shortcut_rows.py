"""How far each arm follows the planted shortcut, as a tidy table: shortcut.csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import pandas as pd

from imil.study.arms import Arm
from imil.study.result_rows import BASE, SEED, Row, patients_of
from imil.study.statistics import (
    COUNTERFACTUAL_MEASURES,
    NO_DIFFERENCE,
    Difference,
    Interval,
    Measure,
    gap_closed,
    holm,
    paired,
    side_by_side,
    spread,
)
from imil.study.statistics.gap_closed import UNKNOWN
from imil.study.study_folder import TEST
from imil.study.study_predictions import StudyPredictions, Units

CLEAN = "no-shortcut"
CLOSED = ("accuracy_against", "auroc_against")  # measures for which `closed` is computed
COLUMNS = (
    *("arm", "title", "measure", "n", "units", "mean", "sd", "low", "high"),
    *("reference", "diff", "diff_low", "diff_high", "p", "pairs"),
    *("closed", "closed_low", "closed_high"),
)


def shortcut_results(predictions: StudyPredictions) -> pd.DataFrame:
    """One row per (arm, measure) of all jobs that are done.

    Measures: shift, flips, worst_group (`imil.metrics.counterfactual`), accuracy_against and
    auroc_against (with the shortcut against the class), accuracy and auroc (images as they are).

    Columns: arm, title, measure, n (different images), units (seeds and splits), mean, sd, low,
    high (95 %), reference (the arm that it is compared with: baseline; for arms that are trained
    without the shortcut no-shortcut, except for that arm; for those with a share of the images the
    baseline with that share), diff, diff_low, diff_high (arm minus
    reference, paired by training and image), p (of no difference; Holm-adjusted over the arms
    with the same measure and reference), pairs (units in the difference), and closed, closed_low,
    closed_high (the share of the gap between baseline and no-shortcut that the arm closes, see
    `imil.study.statistics.gap_closed`; NaN for these two, for arms without the shortcut or with a
    share of the images, and for the other measures).

    Raises: DataError: as `StudyPredictions.by_set`.
    """
    study = _Trainings.read(predictions)
    rows = [row for measure in COUNTERFACTUAL_MEASURES.values() for row in _rows(study, measure)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True, eq=False)
class _Trainings:
    """What the finished trainings predict with the shortcut for, against, and without.

    Args:
        arms: those that have any.
        units: arm to unit to predictions of `side_by_side`.
        patients: image to patient, where known.
    """

    arms: tuple[Arm, ...]
    units: dict[str, Units]
    patients: dict[str, str]

    @classmethod
    def read(cls, predictions: StudyPredictions) -> _Trainings:
        units = counterfactual_units(predictions)
        arms = tuple(arm for arm in predictions.plan.rows if units[arm.id])
        return cls(arms, units, patients_of(predictions, TEST))

    def difference(self, arm: str, other: str, measure: Measure) -> Difference:
        """The arm minus the other, over the units that both have."""
        shared = sorted(set(self.units[arm]) & set(self.units.get(other, {})))
        if not shared or arm == other:
            return NO_DIFFERENCE
        return paired(
            [self.units[arm][unit] for unit in shared],
            [self.units[other][unit] for unit in shared],
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


def _rows(study: _Trainings, measure: Measure) -> Iterator[Row]:
    """The rows of one measure, with each p adjusted over the arms with the same reference."""
    references = [_reference(arm) for arm in study.arms]
    differences = [
        study.difference(arm.id, reference, measure)
        for arm, reference in zip(study.arms, references, strict=True)
    ]
    ps = _adjusted([one.p for one in differences], references)
    for arm, reference, one, p in zip(study.arms, references, differences, ps, strict=True):
        units = study.units[arm.id]
        values = spread(
            list(units.values()),
            measure,
            seed=SEED,
            patients=study.patients,
            splits=[split for _, split in units],
        )
        closed = study.closed(arm, measure)
        yield {
            "arm": arm.id,
            "title": arm.title,
            "measure": measure.name,
            "n": len({key for unit in units.values() for key in unit.keys}),
            "units": len(units),
            "mean": values.mean,
            "sd": values.sd,
            "low": values.interval.low,
            "high": values.interval.high,
            "reference": reference,
            "diff": one.value,
            "diff_low": one.low,
            "diff_high": one.high,
            "p": p,
            "pairs": one.units,
            "closed": closed.value,
            "closed_low": closed.low,
            "closed_high": closed.high,
        }


def _reference(arm: Arm) -> str:
    """The arm with which it is compared."""
    return CLEAN if arm.without_shortcut else arm.reference


def _adjusted(ps: Sequence[float], references: Sequence[str]) -> list[float]:
    """Holm's p-values, over the arms with the same reference."""
    result = [nan] * len(ps)
    for reference in set(references):
        of_reference = [i for i, name in enumerate(references) if name == reference]
        for i, p in zip(of_reference, holm([ps[i] for i in of_reference]), strict=True):
            result[i] = p
    return result
