"""The differences between two studies: every arm, set and main measure that both have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

import numpy as np

from imil.study.arms import Arm
from imil.study.plan import Plan, read_plan
from imil.study.report.control_comparisons import MAIN
from imil.study.result_rows import Group, delta, whole_sets
from imil.study.statistics import Interval, Spread
from imil.study.study_folder import StudyFolder
from imil.study.study_predictions import StudyPredictions, Units


@dataclass(frozen=True)
class Contrast:
    """One arm, set and measure in both studies.

    Args:
        arm, title: as in a study that has the readers of both.
        a, b: means over seeds and splits.
        units: the number of seeds and splits in the study that has fewer.
        difference: b minus a, with its 95 % interval.
        paired: whether it was paired by training and image.
    """

    arm: str
    title: str
    set: str
    measure: str
    a: float
    b: float
    units: int
    difference: Interval
    paired: bool


def contrasts(a: StudyFolder, b: StudyFolder) -> list[Contrast]:
    """Every arm, set and main measure that both studies have."""
    plans = read_plan(a.plan), read_plan(b.plan)
    sets_a, sets_b = (
        whole_sets(StudyPredictions(study, plan)) for study, plan in zip((a, b), plans, strict=True)
    )
    return [
        _contrast(both, measure, (sets_a[name], arm_a.id), (sets_b[name], arm_b.id))
        for name in sets_a
        if name in sets_b
        for measure in MAIN
        for both, arm_a, arm_b in _shared_arms(*plans)
        if sets_a[name].arms.get(arm_a.id) and sets_b[name].arms.get(arm_b.id)
    ]


def comparable_arms(plan: Plan, other: Plan) -> dict[Arm, Arm]:
    """The arms of a plan, by their names in a study that has the readers of both plans.

    Where each plan has one reader alone, the two readers are compared, whatever their names.
    """
    alone = max(len(plan.readers), len(other.readers)) < 2
    return {replace(arm, reader="" if alone else arm.reader, alone=alone): arm for arm in plan.rows}


def unpaired(a: Spread, b: Spread) -> Interval:
    """b minus a of two independent samples, its interval from the interval of each.

    Two studies that share images are not independent; the interval is then too wide, not too
    narrow, because images that are difficult for one are difficult for the other.

    Source: Zou and Donner 2008, Statistics in Medicine 27:1693, eq. 7 (MOVER).
    """
    value = b.mean - a.mean
    below = hypot(b.mean - b.interval.low, a.interval.high - a.mean)
    above = hypot(b.interval.high - b.mean, a.mean - a.interval.low)
    return Interval(value, value - below, value + above)


def _shared_arms(a: Plan, b: Plan) -> list[tuple[Arm, Arm, Arm]]:
    """The arms that both have: by their common name, in a, and in b."""
    arms_a, arms_b = comparable_arms(a, b), comparable_arms(b, a)
    return [(both, arm, arms_b[both]) for both, arm in arms_a.items() if both in arms_b]


def _contrast(arm: Arm, measure: str, in_a: tuple[Group, str], in_b: tuple[Group, str]) -> Contrast:
    """The contrast of an arm, which has an id of its own in each group."""
    (a, id_a), (b, id_b) = in_a, in_b
    spread_a, spread_b = a.spread(id_a, measure), b.spread(id_b, measure)
    units_a, units_b = a.arms[id_a], b.arms[id_b]
    paired = _are_pairs(units_a, units_b)
    if paired:
        difference: Interval = delta(units_b, units_a, measure, a.patients).difference
    else:
        difference = unpaired(spread_a, spread_b)
    return Contrast(
        arm=arm.id,
        title=arm.title,
        set=a.set,
        measure=measure,
        a=spread_a.mean,
        b=spread_b.mean,
        units=min(spread_a.units, spread_b.units),
        difference=difference,
        paired=paired,
    )


def _are_pairs(a: Units, b: Units) -> bool:
    """Whether the trainings of two studies are pairs: same units, images and labels."""
    return set(a) == set(b) and all(
        a[unit].keys == b[unit].keys and np.array_equal(a[unit].labels, b[unit].labels)
        for unit in a
    )
