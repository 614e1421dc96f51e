"""The section on the planted shortcut: how far each arm follows it, and what controls do."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from imil.study.phrases import count
from imil.study.plan_tables import Shortcut
from imil.study.report.findings import Findings, Row
from imil.study.report.methods_shortcut import shortcut_looks
from imil.study.report.number_format import (
    SHARES,
    interval,
    percent,
    percent_interval,
    plain,
    value,
)
from imil.study.report.page import Block, Section
from imil.study.report.result_tables import difference_text, grouped_arms
from imil.study.report.shortcut_comparisons import COMPARED, compare_on_shortcut
from imil.study.report.shortcut_findings import conclusions
from imil.study.report.table_types import Cell, EstimateText, Table, number
from imil.study.report.table_types import Row as TableRow
from imil.study.result_rows import BASE
from imil.study.statistics import SHORTCUT_MEASURES

TITLE = "Planted shortcut"
AGAINST = ("accuracy_against", "auroc_against", "worst_group")
FOLLOWED = ("shift", "flips", "energy")
WHAT_THEY_ARE = (
    "Against: the shortcut argues against the true class of each test image. Worst group: the "
    "lowest accuracy of a class with the shortcut or without it. Share of the gap: 0 % is the "
    "baseline and 100 % the training without the shortcut, of the accuracy against (and of its "
    "AUROC); its interval is a bootstrap of images and trainings. Differences are from the "
    "baseline, or from “No shortcut” for arms that are tried without the shortcut; paired by "
    "training and image, p corrected for the number of arms (Holm)."
)
HOW_IT_IS_SEEN = (
    "Shift: mean probability of the true class with the shortcut for it, minus that with the "
    "shortcut against it; 0: the shortcut is ignored. Flips: images whose predicted class then "
    "changes. Energy: share of the heat-map's energy in the squares of the shortcut, of the class "
    "that it argues for, in test images that it argues against; a uniform heat-map has {area}. "
    "Heat-maps are coarse and enlarged: a network may follow the shortcut although little of the "
    "energy is on it. Those that are zero everywhere are left out."
)


def shortcut_section(findings: Findings) -> Section:
    """What was found, and a row per arm; empty where the plan has no shortcut."""
    shortcut = findings.plan.shortcut
    if shortcut is None:
        return Section(TITLE)
    first = Block(paragraphs=[_planted(findings, shortcut)], items=conclusions(findings))
    if findings.shortcut.empty:
        return Section(TITLE, [first])
    area = value("energy", findings.shortcut_trainings.area)
    tables = [
        _table(findings, "Test images with the shortcut against their class", AGAINST, True),
        _table(findings, "How far the shortcut is followed", FOLLOWED, False, area),
        *_controls(findings),
    ]
    return Section(TITLE, [first, Block(tables=tables)])


def _planted(findings: Findings, shortcut: Shortcut) -> str:
    last = findings.classes[-1]
    looks = shortcut_looks(shortcut)
    return (
        f"{looks[:1].upper()}{looks[1:]} was planted into {percent(shortcut.share)} of the "
        f"training images of {last} and into {percent(1 - shortcut.share)} of the others. Every "
        "network was tested on the same images three times: as they are, with the shortcut "
        "arguing for the true class, and with the shortcut arguing against it. The results are "
        "also in shortcut.csv."
    )


def _table(
    findings: Findings, title: str, measures: Sequence[str], closed: bool, area: str = ""
) -> Table:
    """A row per arm that is done: each measure, and what of the gap it closes."""
    rows: list[TableRow] = []
    for arm, starts_group in grouped_arms(findings):
        of_arm = {name: findings.shortcut_row(arm.id, name) for name in measures}
        first = next(iter(of_arm.values()))
        if first is None:
            continue
        cells = [_cell(row) for row in of_arm.values()]
        if closed:
            cells += [_closed_cell(of_arm[name]) for name in ("accuracy_against", "auroc_against")]
        note = count(first.units, "training")
        rows.append(TableRow(arm.title, cells, note, starts_group and bool(rows)))
    heads = ["Arm", *map(_head, measures)]
    heads += ["Share of the gap, %", "Share of the AUROC's gap, %"] if closed else []
    note = WHAT_THEY_ARE if closed else HOW_IT_IS_SEEN.format(area=area)
    return Table(title, heads, rows, note, "results")


def _head(measure: str) -> str:
    one = SHORTCUT_MEASURES[measure]
    arrow = "↑" if one.higher_is_better else "↓"
    return f"{one.title}{', %' if measure in SHARES else ''} {arrow}"


def _cell(row: Row | None) -> Cell:
    """The mean, and the difference below it."""
    if row is None or not isfinite(row.mean):
        return number("–")
    limits = interval(row.measure, row.low, row.high)
    compared = row.arm != BASE and isfinite(row.diff)
    return Cell(
        css="number",
        estimate=EstimateText(plain(row.measure, row.mean), limits),
        difference=difference_text(row) if compared else None,
    )


def _closed_cell(row: Row | None) -> Cell:
    if row is None or not isfinite(row.closed):
        return number("–")
    limits = "not determined"
    if isfinite(row.closed_low):
        limits = percent_interval(row.closed_low, row.closed_high)
    mean = percent(row.closed).removesuffix(" %")
    return Cell(css="number", estimate=EstimateText(mean, limits))


def _controls(findings: Findings) -> list[Table]:
    """IMIL and treatments minus their controls, where any is done."""
    rows: list[TableRow] = []
    for arm in (*findings.imil_arms, *findings.treatment_arms):
        compared = compare_on_shortcut(findings, arm)
        for control in dict.fromkeys(one.control for one in compared):
            of_control = [one for one in compared if one.control == control]
            cells = [Cell(css="number", difference=difference_text(one)) for one in of_control]
            rows.append(TableRow(f"{arm.title} − {control.short_title}", cells))
    if not rows:
        return []
    points = [", points" if name in SHARES else "" for name in COMPARED]
    heads = [f"{SHORTCUT_MEASURES[n].title}{p}" for n, p in zip(COMPARED, points, strict=True)]
    note = (
        "With 95 % confidence intervals; p is corrected for the number of controls of the arm. A "
        "gain is the reader's only where the arm is better than its controls."
    )
    return [Table("Minus their controls", ["With the shortcut", *heads], rows, note, "results")]
