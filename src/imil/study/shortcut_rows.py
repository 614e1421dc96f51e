"""How far each arm follows the planted shortcut, as a tidy table: shortcut.csv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import nan
from typing import Any

import pandas as pd

from imil.study.arms import Arm
from imil.study.result_rows import Row
from imil.study.shortcut_trainings import CLEAN, ShortcutTrainings
from imil.study.statistics import ENERGY, SHORTCUT_MEASURES, Measure, holm
from imil.study.statistics.verdict import verdict

COLUMNS = (
    *("arm", "title", "measure", "n", "units", "mean", "sd", "low", "high"),
    *("reference", "diff", "diff_low", "diff_high", "p", "verdict", "pairs"),
    *("closed", "closed_low", "closed_high", "area"),
)


def shortcut_results(study: ShortcutTrainings) -> pd.DataFrame:
    """One row per (arm, measure) of all jobs that are done.

    Measures: shift, flips, worst_group (`imil.metrics.counterfactual`), accuracy_for,
    accuracy_against and auroc_against (with the shortcut for and against the class), accuracy and
    auroc (images as they are), and energy (of the heat-maps in the shortcut's squares, of the
    class that it argues for, in test images that it argues against; NaN where it was not measured).

    Columns: arm, title, measure, n (different images), units (seeds and splits), mean, sd, low,
    high (95 %), reference (the arm that it is compared with: baseline; for arms that are trained
    without the shortcut no-shortcut, except for that arm; for those with a share of the images the
    baseline with that share), diff, diff_low, diff_high (arm minus
    reference, paired by training and image), p (of no difference; Holm-adjusted over the arms
    with the same measure and reference), verdict (`imil.study.statistics.verdict`), pairs (units
    in the difference), closed, closed_low, closed_high (the share of the gap between baseline and
    no-shortcut that the arm closes, see `imil.study.statistics.gap_closed`; NaN for these two, for
    arms without the shortcut or with a share of the images, and for the other measures), and area
    (of the energy: the share of the image that the squares cover, its value by chance; else NaN).
    """
    rows = [row for measure in SHORTCUT_MEASURES.values() for row in _rows(study, measure)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    each: Iterable[Any] = table.itertuples()
    table["verdict"] = [verdict(row) for row in each]
    return table


def _rows(study: ShortcutTrainings, measure: Measure) -> Iterator[Row]:
    """The rows of one measure, with each p adjusted over the arms with the same reference."""
    references = [_reference(arm) for arm in study.arms]
    differences = [
        study.difference(arm.id, reference, measure)
        for arm, reference in zip(study.arms, references, strict=True)
    ]
    ps = _adjusted([one.p for one in differences], references)
    for arm, reference, one, p in zip(study.arms, references, differences, ps, strict=True):
        units = study.of(measure)[arm.id]
        values = study.spread(arm.id, measure)
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
            "area": study.area if measure is ENERGY and units else nan,
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
