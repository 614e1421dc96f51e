"""The results as tables: means, intervals, and differences from the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite

import pandas as pd

from imil.study.arms import Arm
from imil.study.phrases import count
from imil.study.report.control_comparisons import MAIN
from imil.study.report.findings import Findings, Row
from imil.study.report.number_format import (
    SHARES,
    SHORT_VERDICTS,
    interval,
    p_equals,
    plain,
    probability,
    signed,
    signed_interval,
)
from imil.study.report.table_types import Cell, DifferenceText, EstimateText, Table, number
from imil.study.report.table_types import Row as TableRow
from imil.study.result_rows import BASE
from imil.study.statistics import MEASURES
from imil.study.statistics.verdict import CLAIMS, Compared, verdict
from imil.study.study_folder import TEST

OTHER = tuple(name for name in MEASURES if name not in MAIN)
HOW_TO_READ = (
    "Means over trainings with 95 % confidence intervals; ↑ higher is better, ↓ lower is better. "
    "Differences are from the baseline, paired by training and image."
)

DELTA = "Δ: difference; p is corrected for the number of arms (Holm)."
SD = " ±: standard deviation over trainings."
CORRECTED = (
    " p is that of no difference, from the standard error of the interval, conservative with few "
    "trainings and corrected for the number of arms (Holm): a difference is shown where the "
    "interval excludes zero and p is below 0.05."
)
TESTS = (
    "Do the trained networks differ? Exact McNemar test (accuracy) and DeLong's test (AUROC) "
    "against the baseline network of the same seed and split: for each training separately, and "
    "combined over an arm's trainings, corrected for the number of arms (Holm). This is not the "
    "question whether the methods differ, which the intervals above answer: with few seeds p may "
    "be small here where an interval includes zero."
)
FEWER = " An arm with fewer trainings is compared with the baseline over the trainings of both."


def main_table(findings: Findings, set_name: str, title: str) -> Table:
    """Accuracy, AUROC and ECE with differences, as the paper's Table 1."""
    heads = []
    for measure in MAIN:
        heads += [_head(measure), f"Difference{' in points' if measure in SHARES else ''}"]
    note = (
        f"{HOW_TO_READ}{SD}{CORRECTED} Each training separately: units.csv beside this report."
        f"{_fewer(findings)}"
    )
    return _table(findings, set_name, title, heads, MAIN, _two_cells, note)


def other_table(findings: Findings, set_name: str, title: str) -> Table:
    """The other measures, each with its difference below it."""
    note = f"{HOW_TO_READ} {DELTA}{_fewer(findings)}"
    heads = [_head(measure) for measure in OTHER]
    return _table(findings, set_name, title, heads, OTHER, _one_cell, note)


def _table(
    findings: Findings,
    set_name: str,
    title: str,
    heads: Sequence[str],
    measures: Sequence[str],
    cells: Callable[[Arm, Row | None], Sequence[Cell]],
    note: str,
) -> Table:
    """A row per arm, with the cells of each measure."""
    table_rows = []
    for arm, starts_group in grouped_arms(findings):
        rows: dict[str, Row] = {
            row.measure: row for row in findings.rows(arm.id, measures, set_name)
        }
        if rows:
            arm_cells = [cell for measure in measures for cell in cells(arm, rows.get(measure))]
            trainings = count(next(iter(rows.values())).units, "training")
            table_rows.append(TableRow(arm.title, arm_cells, trainings, starts_group))
    caption = f"{title}: {_images(findings, set_name)}"
    return Table(caption, ["Arm", *heads], table_rows, note, "results")


def networks_table(findings: Findings, units: pd.DataFrame) -> Table:
    """The tests of the trained networks: all trainings of an arm combined, and each separately.

    Args:
        units: `imil.study.result_rows.unit_results`, of the test set.
    """
    heads = ["Arm"]
    for measure, test in (("accuracy", "McNemar"), ("auroc", "DeLong")):
        heads += [f"{MEASURES[measure].title}, {test}", "each training"]
    table_rows = []
    for arm, starts_group in grouped_arms(findings):
        rows: list[Row] = [*findings.rows(arm.id, ("accuracy", "auroc"))]
        if arm.id == BASE or not any(row.pairs for row in rows):
            continue
        arm_units = units[units["arm"] == arm.id]
        cells = []
        for row in rows:
            each = arm_units.loc[arm_units["measure"] == row.measure, "p"].dropna()
            cells += [number(probability(row.p_networks))]
            cells += [Cell(_p_values(each), "number", small=True)]
        table_rows.append(TableRow(arm.title, cells, starts_group=starts_group))
    return Table("Table 3. Tests of the networks, p", heads, table_rows, TESTS, "results")


def _p_values(values: Iterable[float]) -> str:
    return ", ".join(map(probability, values)) or "–"


def subgroup_table(findings: Findings, column: str, measure: str) -> Table:
    """One measure of the test set in the subgroups of a column, each with its difference."""
    names = [name for name in findings.subgroups if name.startswith(f"{column}=")]
    sizes = {name: int(findings.results_of(TEST, name)["n"].max()) for name in names}
    heads = ["Arm"] + [f"{name.split('=', 1)[1]} ({sizes[name]})" for name in names]
    table_rows = []
    for arm, starts_group in grouped_arms(findings):
        rows = [findings.row(arm.id, measure, TEST, name) for name in names]
        if any(row is not None for row in rows):
            cells = [_inline_cell(arm, row) for row in rows]
            table_rows.append(TableRow(arm.title, cells, starts_group=starts_group))
    unit = ", %" if measure in SHARES else ""
    caption = f"{MEASURES[measure].title}{unit}, by {column} (test images in brackets)"
    return Table(caption, heads, table_rows, css="results")


def grouped_arms(findings: Findings) -> Iterator[tuple[Arm, bool]]:
    """The arms in their order, and whether each starts a new group.

    Groups: IMIL, its controls, each treatment with its controls, others.
    """
    previous = None
    for arm in findings.plan.rows:
        group = "control" if arm.is_control else "imil" if arm.kind == "imil" else "other"
        if arm.kind == "treatment":
            group = f"treatment {arm.treatment}"
        yield arm, previous is not None and group != previous
        previous = group


def difference_text(row: Compared) -> DifferenceText:
    """A difference with its interval, p and verdict."""
    result = verdict(row)
    if result == "not measured":
        return DifferenceText("–")
    return DifferenceText(
        signed(row.measure, row.diff),
        signed_interval(row.measure, row.diff_low, row.diff_high),
        p_equals(row.p),
        SHORT_VERDICTS[result],
        shown=result in CLAIMS,
    )


def _two_cells(arm: Arm, row: Row | None) -> Sequence[Cell]:
    """The mean and the difference, a cell each."""
    if row is None:
        return number("–"), number("–")
    sd = f"± {plain(row.measure, row.sd)}" if isfinite(row.sd) else ""
    mean = Cell(css="number", estimate=_estimate(row, sd))
    if arm.id == BASE:
        return mean, Cell(css="number", difference=DifferenceText("–"))
    return mean, Cell(css="number", difference=difference_text(row))


def _one_cell(arm: Arm, row: Row | None) -> Sequence[Cell]:
    """The mean, and the difference below it."""
    if row is None:
        return (number("–"),)
    return (Cell(css="number", estimate=_estimate(row), difference=_labelled(arm, row)),)


def _inline_cell(arm: Arm, row: Row | None) -> Cell:
    """The mean and the difference, each in a line with its interval."""
    if row is None:
        return number("–")
    difference = _labelled(arm, row)
    return Cell(css="number", estimate=_estimate(row), difference=difference, inline=True)


def _labelled(arm: Arm, row: Row) -> DifferenceText | None:
    """The difference for a cell that has the mean too; None where there is none."""
    if arm.id == BASE or verdict(row) == "not measured":
        return None
    return difference_text(row)


def _estimate(row: Row, sd: str = "") -> EstimateText:
    limits = interval(row.measure, row.low, row.high)
    return EstimateText(plain(row.measure, row.mean), limits, sd)


def _head(measure: str) -> str:
    arrow = "↑" if MEASURES[measure].higher_is_better else "↓"
    return f"{MEASURES[measure].title}{', %' if measure in SHARES else ''} {arrow}"


def _fewer(findings: Findings) -> str:
    return "" if findings.finished else FEWER


def _images(findings: Findings, set_name: str) -> str:
    if set_name == TEST and findings.plan.splits.count > 1:
        return findings.test_images
    return count(int(findings.results_of(set_name)["n"].max()), "image")
