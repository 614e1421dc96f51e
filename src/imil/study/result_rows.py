"""The results of a study as one tidy table: every arm, set, subgroup and measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from imil.errors import DataError
from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.study.statistics import (
    MEASURES,
    NO_DIFFERENCE,
    Difference,
    Spread,
    combined,
    delong,
    holm,
    mcnemar,
    paired,
    spread,
)
from imil.study.study_folder import TEST, Predictions, StudyFolder
from imil.study.verdict import verdict

BASE = "baseline"
SEED = 0  # of the resamples: the same folder gives the same table
TESTS: dict[str, Callable[[Predictions, Predictions], float]] = {
    "accuracy": mcnemar,
    "auroc": lambda arm, other: delong(arm, other).p,
}
COLUMNS = (
    *("arm", "title", "set", "subgroup", "measure", "n", "units", "mean", "sd", "low", "high"),
    *("diff", "diff_low", "diff_high", "p", "verdict", "p_networks", "pairs"),
)
OF_UNITS = ("arm", "set", "seed", "split", "measure", "value", "diff", "p")

Unit = tuple[int, int]  # seed, split
Units = Mapping[Unit, Predictions]
Row = dict[str, object]


@dataclass(frozen=True)
class Delta:
    """An arm minus another, paired by unit and image.

    Args:
        found: the difference with its 95 % interval and p; NaN where it cannot be computed.
        p_networks: of the test of the networks themselves, combined over units; NaN: no test.
            Neither is corrected for the number of arms.
    """

    found: Difference
    p_networks: float


NOTHING = Delta(NO_DIFFERENCE, nan)


@dataclass(frozen=True, eq=False)
class Group:
    """The predictions for the images of a set, or for some of them.

    Args:
        set: `test` or `external-NAME`.
        subgroup: such as `sex=F`; empty: all images.
        arms: arm to unit to predictions; no unit where the arm has none.
        patients: image to patient, where known.
    """

    set: str
    subgroup: str
    arms: Mapping[str, Units]
    patients: Mapping[str, str]

    def spread(self, arm: str, measure: str) -> Spread:
        """A measure over an arm's units."""
        order = sorted(self.arms[arm])
        return spread(
            [self.arms[arm][unit] for unit in order],
            measure,
            seed=SEED,
            patients=self.patients,
            splits=[split for _, split in order],
        )

    def delta(self, arm: str, other: str, measure: str) -> Delta:
        """An arm minus another, over the units that both have."""
        return difference(self.arms[arm], self.arms[other], measure, self.patients)


def results(study: StudyFolder, plan: Plan) -> pd.DataFrame:
    """One row per (arm, set, subgroup, measure) of all jobs that are done.

    Columns: arm, title, set, subgroup ("" is everyone, else `sex=F`), measure, n (different
    images), units (seeds and splits), mean, sd, low, high (95 %), diff, diff_low, diff_high (arm
    minus baseline, paired; NaN for the baseline), p (of no difference; Holm-adjusted over the
    arms of the same set, subgroup and measure), verdict (`imil.study.verdict`), p_networks
    (accuracy: McNemar, AUROC: DeLong; combined over units, adjusted likewise; else NaN) and pairs
    (units in the difference).

    Raises: DataError: as `predicted`.
    """
    rows = [
        row
        for group in groups(study, plan)
        for measure in MEASURES
        for row in _rows(plan, group, measure)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    each: Iterable[Any] = table.itertuples()
    table["verdict"] = [verdict(row) for row in each]
    return table


def of_units(groups: Iterable[Group]) -> pd.DataFrame:
    """One row per (arm, set, seed, split, measure): what each training comes to by itself.

    Columns: arm, set, seed, split, measure, value, diff (from the baseline with the same seed
    and split; NaN where that is not done) and p (accuracy: McNemar, AUROC: DeLong; as it is,
    corrected for nothing; else NaN).
    """
    rows = [
        (arm, group.set, *unit, name, *_alone(one, group.arms[BASE].get(unit), name, arm))
        for group in groups
        for arm, units in group.arms.items()
        for unit, one in sorted(units.items())
        for name in MEASURES
    ]
    return pd.DataFrame(rows, columns=list(OF_UNITS))


def groups(study: StudyFolder, plan: Plan) -> Iterator[Group]:
    """Every set as a whole, followed by its subgroups; the test set first."""
    images = study.read_images()
    for of, group in wholes(study, plan).items():
        yield group
        own = images[images["set"] == _named(of)].set_index("key")
        for column in plan.subgroups:
            values = own[column].fillna("").astype(str)
            for value in sorted(set(values) - {""}):
                keys = set(values.index[values == value])
                some = {arm: _within(units, keys) for arm, units in group.arms.items()}
                if any(some.values()):  # a group may have no image in a test split
                    yield replace(group, subgroup=f"{column}={value}", arms=some)


def wholes(study: StudyFolder, plan: Plan) -> dict[str, Group]:
    """Every set with all its images; the test set first."""
    images = study.read_images()
    return {
        of: Group(of, "", arms, _patients(images[images["set"] == _named(of)].set_index("key")))
        for of, arms in predicted(study, plan).items()
    }


def predicted(study: StudyFolder, plan: Plan) -> dict[str, dict[str, Units]]:
    """Set to arm to unit to what the finished jobs predict; the test set first.

    A job may lack an external set, which the plan may have got after it was done; never the test
    set.

    Raises: DataError: a job has lost its predictions of the test set, or arms of a seed and split
        predicted different images.
    """
    jobs = study.jobs([arm.id for arm in plan.rows], plan.seeds, plan.splits.count)
    done = [(job, job.sets()) for job in jobs if job.state == "done"]
    found: dict[str, dict[str, Units]] = {}
    for of in (TEST, *(f"external-{name}" for name in plan.external)):
        arms: dict[str, dict[Unit, Predictions]] = {arm.id: {} for arm in plan.rows}
        for job, there in done:
            if of in there or of == TEST:
                arms[job.arm][job.unit] = job.predictions(of)
        _check_same(of, arms)
        found[of] = dict(arms)
    return found


def difference(
    arm: Units, other: Units, measure: str, patients: Mapping[str, str] | None = None
) -> Delta:
    """The arm minus the other, over the units that both have."""
    shared = sorted(set(arm) & set(other))
    if not shared:
        return NOTHING
    mine, theirs = [arm[unit] for unit in shared], [other[unit] for unit in shared]
    splits = [split for _, split in shared]
    found = paired(mine, theirs, measure, seed=SEED, patients=patients, splits=splits)
    return Delta(found, _tested(mine, theirs, measure))


def _alone(
    one: Predictions, base: Predictions | None, measure: str, arm: str
) -> tuple[float, float, float]:
    """A training's value, its difference from the baseline's and the p of that."""
    measured = MEASURES[measure].value
    value = measured(one.probs, one.labels)
    if base is None or arm == BASE:
        return value, nan, nan
    test = TESTS.get(measure)
    return (
        value,
        value - measured(base.probs, base.labels),
        nan if test is None else test(one, base),
    )


def _tested(arm: Sequence[Predictions], other: Sequence[Predictions], measure: str) -> float:
    """The p of the measure's test, combined over units; NaN where there is none."""
    test = TESTS.get(measure)
    if test is None:
        return nan
    pairs = list(zip(arm, other, strict=True))
    measured = MEASURES[measure].value
    gains = [measured(a.probs, a.labels) - measured(b.probs, b.labels) for a, b in pairs]
    return combined([test(a, b) for a, b in pairs], gains)


def _rows(plan: Plan, group: Group, measure: str) -> Iterator[Row]:
    """The rows of one measure, with each p adjusted over the arms."""
    made = [arm for arm in plan.rows if group.arms[arm.id]]
    deltas = [NOTHING if arm.id == BASE else group.delta(arm.id, BASE, measure) for arm in made]
    ps = holm([one.found.p for one in deltas])
    of_networks = holm([one.p_networks for one in deltas])
    for arm, delta, p, p_networks in zip(made, deltas, ps, of_networks, strict=True):
        row = _row(arm, group, measure, delta.found)
        yield row | {"p": p, "p_networks": p_networks}


def _row(arm: Arm, group: Group, measure: str, found: Difference) -> Row:
    units = group.arms[arm.id]
    of = group.spread(arm.id, measure)
    return {
        "arm": arm.id,
        "title": arm.title,
        "set": group.set,
        "subgroup": group.subgroup,
        "measure": measure,
        "n": len({key for one in units.values() for key in one.keys}),
        "units": len(units),
        "mean": of.mean,
        "sd": of.sd,
        "low": of.interval.low,
        "high": of.interval.high,
        "diff": found.value,
        "diff_low": found.low,
        "diff_high": found.high,
        "pairs": found.units,
    }


def _named(of: str) -> str:
    """A set's name in images.parquet."""
    return "data" if of == TEST else of


def _patients(images: pd.DataFrame) -> dict[str, str]:
    """Image to patient, where known."""
    if "patient" not in images:
        return {}
    known = images["patient"].fillna("").astype(str)
    return {str(key): patient for key, patient in known.items() if patient}


def _within(units: Units, keys: set[str]) -> Units:
    """The predictions of those images alone; a unit without one is left out."""
    some = {
        unit: one.select(np.array([key in keys for key in one.keys])) for unit, one in units.items()
    }
    return {unit: one for unit, one in some.items() if len(one)}


def _check_same(of: str, arms: Mapping[str, Units]) -> None:
    first: dict[Unit, tuple[str, Predictions]] = {}
    for arm, units in arms.items():
        for unit, one in units.items():
            name, other = first.setdefault(unit, (arm, one))
            if one.keys != other.keys or not np.array_equal(one.labels, other.labels):
                raise DataError(
                    f"'{arm}' and '{name}' with seed {unit[0]} on split {unit[1]} predicted "
                    f"different images of '{of}': run one of them again"
                )
