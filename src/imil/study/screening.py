"""The treatment that the seeds of the screening choose, and what the other seeds say of it.

The largest of many gains is large by luck too. Where other trainings than those that chose it
measure it, choosing does not flatter.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from math import isfinite

import pandas as pd

from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.study.result_rows import SEED, patients_of
from imil.study.shortcut_trainings import counterfactual_units
from imil.study.statistics import (
    COUNTERFACTUAL_MEASURES,
    MEASURES,
    NO_DIFFERENCE,
    Difference,
    Measure,
    paired,
)
from imil.study.study_folder import TEST
from imil.study.study_predictions import StudyPredictions, Units


@dataclass(frozen=True)
class Confirmation:
    """The treatment that was chosen, in both parts of the seeds.

    Args:
        arm, title: of the treatment.
        reference: the arm that it is compared with.
        measure: by which it was chosen.
        candidates: how many treatments it was chosen from.
        screening_diff: mean difference from the reference over the seeds of the screening.
        screening_seeds: how many these are.
        diff, diff_low, diff_high: over the other seeds, with its 95 % interval; NaN: none is done.
        p: of no difference there, not corrected: it is the only comparison.
        seeds: how many other seeds are done.
    """

    arm: str
    title: str
    reference: str
    measure: str
    candidates: int
    screening_diff: float
    screening_seeds: int
    diff: float
    diff_low: float
    diff_high: float
    p: float
    seeds: int


COLUMNS = tuple(Confirmation.__dataclass_fields__)


def screening_measure(plan: Plan) -> Measure:
    """The measure that chooses: what [screening] names; else AUROC, with [shortcut] against it."""
    assert plan.screening is not None
    known = COUNTERFACTUAL_MEASURES if plan.shortcut else MEASURES
    name = plan.screening.measure or ("auroc_against" if plan.shortcut else "auroc")
    return known.get(name) or MEASURES[name]


def candidates(plan: Plan) -> list[Arm]:
    """The arms among which the screening chooses: `imil` of the first reader and treatments.

    Neither controls nor what is trained without the shortcut or on a share of the images.
    """
    return [
        arm
        for arm in plan.rows
        if arm.kind in ("imil", "treatment")
        and arm.reader == plan.readers[0].name
        and not (arm.control or arm.without_shortcut or arm.share < 1)
    ]


def confirm(predictions: StudyPredictions) -> Confirmation | None:
    """The chosen treatment; None while a candidate is not done with the seeds of the screening.

    Raises: DataError: as `StudyPredictions.by_set`.
    """
    plan = predictions.plan
    if plan.screening is None:
        return None
    measure = screening_measure(plan)
    units = _units(predictions, measure)
    patients = patients_of(predictions, TEST)
    first = set(plan.screening.seeds)
    wanted = len(first) * plan.splits.count
    arms = candidates(plan)
    screened = {arm: _difference(arm, units, measure, first, patients) for arm in arms}
    if not arms or any(one.units < wanted for one in screened.values()):
        return None
    sign = 1 if measure.higher_is_better else -1
    best = max(arms, key=lambda arm: sign * screened[arm].value)
    others = set(plan.seeds) - first
    confirmed = _difference(best, units, measure, others, patients)
    done = {seed for seed, _ in _shared(best, units, others)}
    return Confirmation(
        arm=best.id,
        title=best.title,
        reference=best.reference,
        measure=measure.name,
        candidates=len(arms),
        screening_diff=screened[best].value,
        screening_seeds=len(first),
        diff=confirmed.value,
        diff_low=confirmed.low,
        diff_high=confirmed.high,
        p=confirmed.p,
        seeds=len(done) if isfinite(confirmed.value) else 0,
    )


def confirmation_table(predictions: StudyPredictions) -> pd.DataFrame:
    """One row, of the columns of `Confirmation`; none while the screening is not done."""
    found = confirm(predictions)
    return pd.DataFrame([] if found is None else [asdict(found)], columns=list(COLUMNS))


def _units(predictions: StudyPredictions, measure: Measure) -> Mapping[str, Units]:
    """Arm to unit to the predictions of which the measure is computed."""
    if COUNTERFACTUAL_MEASURES.get(measure.name) is measure:
        return counterfactual_units(predictions)
    return predictions.by_set[TEST]


def _shared(arm: Arm, units: Mapping[str, Units], seeds: Container[int]) -> list[tuple[int, int]]:
    """Seed and split of the trainings that the arm and its reference both have."""
    both = set(units[arm.id]) & set(units[arm.reference])
    return sorted(unit for unit in both if unit[0] in seeds)


def _difference(
    arm: Arm,
    units: Mapping[str, Units],
    measure: Measure,
    seeds: Container[int],
    patients: Mapping[str, str],
) -> Difference:
    """The arm minus its reference, over these seeds alone."""
    shared = _shared(arm, units, seeds)
    if not shared:
        return NO_DIFFERENCE
    of_arm, of_reference = (
        [units[name][unit] for unit in shared] for name in (arm.id, arm.reference)
    )
    splits = [split for _, split in shared]
    return paired(of_arm, of_reference, measure, seed=SEED, patients=patients, splits=splits)
