"""The results of a study as tidy tables: every arm, set, subgroup and measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import pandas as pd

from imil.predictions import Predictions
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
from imil.study.statistics.verdict import verdict
from imil.study.study_predictions import StudyPredictions, Units, select_images

BASE = "baseline"
SEED = 0  # of the resamples: the same folder gives the same table
TESTS: dict[str, Callable[[Predictions, Predictions], float]] = {
    "accuracy": mcnemar,
    "auroc": lambda arm, other: delong(arm, other).p,
}
COLUMNS = (
    *("arm", "title", "set", "subgroup", "measure", "n", "units", "mean", "sd", "low", "high"),
    *("reference", "diff", "diff_low", "diff_high", "p", "verdict", "p_networks", "pairs"),
)
UNIT_COLUMNS = ("arm", "set", "seed", "split", "measure", "value", "diff", "p")

Row = dict[str, object]


@dataclass(frozen=True)
class Delta:
    """An arm minus another, paired by unit and image.

    Args:
        difference: with its 95 % interval and p; NaN where it cannot be computed.
        p_networks: of the test of the networks themselves, combined over units; NaN: no test.
            Neither is corrected for the number of arms.
    """

    difference: Difference
    p_networks: float


NO_DELTA = Delta(NO_DIFFERENCE, nan)


@dataclass(frozen=True, eq=False)
class Group:
    """The predictions for the images of a set, or for some of them.

    Args:
        set: `test`, with a planted shortcut `test-for` or `test-against`, or `external-NAME`.
        subgroup: such as `sex=F`; empty: all images.
        arms: arm to unit to predictions; no unit where the arm has none.
        patients: image to patient, where known.
        references: arm to the arm that it is compared with; the baseline where it is not named.
    """

    set: str
    subgroup: str
    arms: Mapping[str, Units]
    patients: Mapping[str, str]
    references: Mapping[str, str] = field(default_factory=dict)

    def reference(self, arm: str) -> str:
        """The arm that another is compared with; empty for the baseline."""
        return self.references.get(arm, "" if arm == BASE else BASE)

    def of_reference(self, arm: str) -> Units:
        """What the arm that another is compared with predicts; empty where there is none."""
        return self.arms.get(self.reference(arm), {})

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
        return delta(self.arms[arm], self.arms[other], measure, self.patients)


def delta(
    arm: Units, other: Units, measure: str, patients: Mapping[str, str] | None = None
) -> Delta:
    """The arm minus the other, over the units that both have."""
    shared = sorted(set(arm) & set(other))
    if not shared:
        return NO_DELTA
    of_arm, of_other = [arm[unit] for unit in shared], [other[unit] for unit in shared]
    splits = [split for _, split in shared]
    difference = paired(of_arm, of_other, measure, seed=SEED, patients=patients, splits=splits)
    return Delta(difference, _p_of_networks(of_arm, of_other, measure))


def results(predictions: StudyPredictions) -> pd.DataFrame:
    """One row per (arm, set, subgroup, measure) of all jobs that are done.

    Columns: arm, title, set, subgroup ("" is everyone, else `sex=F`), measure, n (different
    images), units (seeds and splits), mean, sd, low, high (95 %), reference (the arm that it is
    compared with: the baseline, for an arm that is trained on a share of the images the baseline
    of that share), diff, diff_low, diff_high (arm minus reference, paired; NaN for the baseline),
    p (of no difference; Holm-adjusted over the
    arms of the same set, subgroup and measure), verdict (`imil.study.statistics.verdict`),
    p_networks (accuracy: McNemar, AUROC: DeLong; combined over units, adjusted likewise; else
    NaN) and pairs (units in the difference).

    Raises: DataError: as `StudyPredictions.by_set`.
    """
    rows = [
        row
        for group in groups(predictions)
        for measure in MEASURES
        for row in _rows(predictions.plan, group, measure)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    each: Iterable[Any] = table.itertuples()
    table["verdict"] = [verdict(row) for row in each]
    return table


def unit_results(groups: Iterable[Group]) -> pd.DataFrame:
    """One row per (arm, set, seed, split, measure): the results of each training by itself.

    Columns: arm, set, seed, split, measure, value, diff (from the reference with the same seed
    and split; NaN where that is not done) and p (accuracy: McNemar, AUROC: DeLong; not corrected;
    else NaN).
    """
    rows = [
        (arm, group.set, *unit, name, *_unit_values(one, group.of_reference(arm).get(unit), name))
        for group in groups
        for arm, units in group.arms.items()
        for unit, one in sorted(units.items())
        for name in MEASURES
    ]
    return pd.DataFrame(rows, columns=list(UNIT_COLUMNS))


def groups(predictions: StudyPredictions) -> Iterator[Group]:
    """Every set as a whole, followed by its subgroups; the test set first."""
    for of, group in whole_sets(predictions).items():
        yield group
        images = _images_of(predictions, of)
        for column in predictions.plan.subgroups:
            values = images[column].fillna("").astype(str)
            for value in sorted(set(values) - {""}):
                keys = set(values.index[values == value])
                arms = {arm: _select(units, keys) for arm, units in group.arms.items()}
                if any(arms.values()):  # a subgroup may have no image in a test split
                    yield replace(group, subgroup=f"{column}={value}", arms=arms)


def whole_sets(predictions: StudyPredictions) -> dict[str, Group]:
    """Every set with all its images, by name; the test set first."""
    references = {arm.id: arm.reference for arm in predictions.plan.rows}
    return {
        of: Group(of, "", arms, patients_of(predictions, of), references)
        for of, arms in predictions.by_set.items()
    }


def _unit_values(
    one: Predictions, base: Predictions | None, measure: str
) -> tuple[float, float, float]:
    """A training's value, its difference from its reference's and the p of that."""
    value_of = MEASURES[measure].value
    value = value_of(one.probs, one.labels)
    if base is None:
        return value, nan, nan
    test = TESTS.get(measure)
    p = nan if test is None else test(one, base)
    return value, value - value_of(base.probs, base.labels), p


def _p_of_networks(arm: Sequence[Predictions], other: Sequence[Predictions], measure: str) -> float:
    """The p of the measure's test, combined over units; NaN where there is none."""
    test = TESTS.get(measure)
    if test is None:
        return nan
    pairs = list(zip(arm, other, strict=True))
    value_of = MEASURES[measure].value
    gains = [value_of(a.probs, a.labels) - value_of(b.probs, b.labels) for a, b in pairs]
    return combined([test(a, b) for a, b in pairs], gains)


def _rows(plan: Plan, group: Group, measure: str) -> Iterator[Row]:
    """The rows of one measure, with each p adjusted over the arms."""
    arms = [arm for arm in plan.rows if group.arms[arm.id]]
    deltas = [
        group.delta(arm.id, arm.reference, measure) if arm.reference else NO_DELTA for arm in arms
    ]
    ps = holm([one.difference.p for one in deltas])
    ps_networks = holm([one.p_networks for one in deltas])
    for arm, one, p, p_networks in zip(arms, deltas, ps, ps_networks, strict=True):
        row = _row(arm, group, measure, one.difference)
        yield row | {"p": p, "p_networks": p_networks}


def _row(arm: Arm, group: Group, measure: str, difference: Difference) -> Row:
    units = group.arms[arm.id]
    values = group.spread(arm.id, measure)
    return {
        "arm": arm.id,
        "title": arm.title,
        "set": group.set,
        "subgroup": group.subgroup,
        "measure": measure,
        "n": len({key for one in units.values() for key in one.keys}),
        "units": len(units),
        "mean": values.mean,
        "sd": values.sd,
        "low": values.interval.low,
        "high": values.interval.high,
        "reference": arm.reference,
        "diff": difference.value,
        "diff_low": difference.low,
        "diff_high": difference.high,
        "pairs": difference.units,
    }


def _images_of(predictions: StudyPredictions, of: str) -> pd.DataFrame:
    """The rows of images.parquet of a set, by key."""
    images = predictions.images
    return images[images["set"] == (of if of.startswith("external-") else "data")].set_index("key")


def patients_of(predictions: StudyPredictions, of: str) -> dict[str, str]:
    """Image to patient, where known, in a set."""
    images = _images_of(predictions, of)
    if "patient" not in images:
        return {}
    known = images["patient"].fillna("").astype(str)
    return {str(key): patient for key, patient in known.items() if patient}


def _select(units: Units, keys: set[str]) -> Units:
    """The predictions of those images alone; a unit without any is left out."""
    selected = {unit: select_images(one, keys) for unit, one in units.items()}
    return {unit: one for unit, one in selected.items() if len(one)}
