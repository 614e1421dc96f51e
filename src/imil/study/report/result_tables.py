"""The results as tables of a page: values, intervals, and differences from the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite

import pandas as pd

from imil.study.arms import Arm
from imil.study.phrases import count
from imil.study.report.findings import Findings, Row
from imil.study.report.html import Cell, Line, Piece, el, join, lines, small, table
from imil.study.report.number_format import (
    BRIEFLY,
    SHARES,
    interval,
    plain,
    probability,
    signed,
    signed_interval,
)
from imil.study.report.versus import MAIN
from imil.study.result_rows import BASE
from imil.study.statistics import MEASURES
from imil.study.statistics.verdict import CLAIMS, Compared, verdict
from imil.study.study_folder import TEST

OTHER = tuple(name for name in MEASURES if name not in MAIN)
HOW = (
    "Means over trainings with their 95 % intervals; ↑ more is better, ↓ less is better. "
    "Differences are from the baseline, paired by training and image."
)

DELTA = "Δ: the difference; p is corrected for the number of arms (Holm)."
SPREAD = " ±: the standard deviation between trainings."
CORRECTED = (
    " p is that of no difference, by the interval's own error, cautious where trainings are few "
    "and corrected for the number of arms (Holm): a difference is shown where the interval "
    "excludes zero and p is below 0.05."
)
TESTS = (
    "Do the networks differ, as they happened to be trained? Exact McNemar test (accuracy) and "
    "DeLong's (AUROC) against the baseline's network of the same seed and split: each training by "
    "itself, and all of an arm combined, corrected for the number of arms (Holm). This is not the "
    "question whether the methods differ, which the intervals above answer: with few seeds p may "
    "be small here where an interval includes zero."
)
SHARED = " An arm with fewer trainings is compared with the baseline over those that both have."


def main_table(found: Findings, which: str, title: str) -> Piece:
    """Accuracy, AUROC and ECE with differences, as the paper's Table 1."""
    heads = []
    for measure in MAIN:
        heads += [_head(measure), f"Difference{' in points' if measure in SHARES else ''}"]
    files = join(
        f"{HOW}{SPREAD}{CORRECTED} Each training by itself: ",
        el("code", "units.csv"),
        f" beside this report.{_shared(found)}",
    )
    return _table(found, which, title, heads, MAIN, _pair, files)


def other_table(found: Findings, which: str, title: str) -> Piece:
    """The other measures, each with its difference below it."""
    note = f"{HOW} {DELTA}{_shared(found)}"
    return _table(found, which, title, [*map(_head, OTHER)], OTHER, _stacked, note)


def _table(
    found: Findings,
    which: str,
    title: str,
    heads: Sequence[str],
    measures: Sequence[str],
    cells: Callable[[Arm, Row | None], Sequence[Cell]],
    note: str,
) -> Piece:
    """A line an arm, with the cells of each measure."""
    made = []
    for arm, begins in grouped(found):
        rows = {row.measure: row for row in found.rows(arm.id, measures, which)}
        if rows:
            of_arm = [cell for measure in measures for cell in cells(arm, rows.get(measure))]
            made.append(Line(_named(arm, rows), of_arm, begins))
    return table(_over(found, which, title), ["Arm", *heads], made, note=note, kind="results")


def networks_table(found: Findings, units: pd.DataFrame) -> Piece:
    """The tests of the trained networks: all trainings of an arm combined, and each by itself.

    Args:
        units: `imil.study.result_rows.unit_results`, of the test set.
    """
    heads = ["Arm"]
    for measure, test in (("accuracy", "McNemar"), ("auroc", "DeLong")):
        heads += [f"{MEASURES[measure].title}, {test}", "each training"]
    made = []
    for arm, begins in grouped(found):
        rows: list[Row] = [*found.rows(arm.id, ("accuracy", "auroc"))]
        if arm.id == BASE or not any(row.pairs for row in rows):
            continue
        own = units[units["arm"] == arm.id]
        cells = []
        for row in rows:
            each = own.loc[own["measure"] == row.measure, "p"].dropna()
            cells += [Cell(probability(row.p_networks), "n"), Cell(small(_list(each)), "n")]
        made.append(Line(arm.title, cells, begins))
    return table("Table 3. Tests of the networks, p", heads, made, note=TESTS, kind="results")


def _list(each: Iterable[float]) -> str:
    return ", ".join(probability(p) for p in each) or "–"


def group_table(found: Findings, column: str, measure: str) -> Piece:
    """One measure of the test set within the groups of a column, each with its difference."""
    names = [name for name in found.subgroups if name.startswith(f"{column}=")]
    sizes = {name: int(found.of(TEST, name)["n"].max()) for name in names}
    heads = ["Arm"] + [f"{name.split('=', 1)[1]} ({sizes[name]})" for name in names]
    made = []
    for arm, begins in grouped(found):
        rows = [found.row(arm.id, measure, TEST, name) for name in names]
        if any(row is not None for row in rows):
            made.append(Line(arm.title, [_beside(arm, row) for row in rows], begins))
    unit = ", %" if measure in SHARES else ""
    said = f"{MEASURES[measure].title}{unit}, by {column} (test images in brackets)"
    return table(said, heads, made, kind="results")


def grouped(found: Findings) -> Iterator[tuple[Arm, bool]]:
    """The arms in their order, and whether one begins a new kind."""
    before = None
    for arm in found.plan.rows:
        kind = "control" if arm.is_control else "imil" if arm.kind == "imil" else "other"
        yield arm, before is not None and kind != before
        before = kind


def shown_text(row: Compared) -> str:
    """What a measured difference shows, in a few words."""
    return BRIEFLY[verdict(row)]


def _pair(arm: Arm, row: Row | None) -> Sequence[Cell]:
    """Value and difference in two cells."""
    if row is None:
        return Cell("–", "n"), Cell("–", "n")
    apart = f"± {plain(row.measure, row.sd)}" if isfinite(row.sd) else ""
    value = lines(
        el("b", plain(row.measure, row.mean)), small(apart) if apart else "", _interval(row)
    )
    if arm.id == BASE:
        return Cell(value, "n"), Cell("–", "n faint")
    return Cell(value, "n"), Cell(lines(*_difference(row)), f"n {_kind(row)}")


def _stacked(arm: Arm, row: Row | None) -> Sequence[Cell]:
    """Value and difference in one cell."""
    if row is None:
        return (Cell("–", "n"),)
    value = lines(el("b", plain(row.measure, row.mean)), _interval(row))
    if arm.id == BASE or verdict(row) == "not measured":
        return (Cell(value, "n"),)
    first, *rest = _difference(row)
    delta = el("div", join("Δ ", first), *(el("div", one) for one in rest))
    return (Cell(join(value, el("div", delta, at={"class": f"delta {_kind(row)}"})), "n"),)


def _beside(arm: Arm, row: Row | None) -> Cell:
    """Value and difference in one cell, each in a line with its interval."""
    if row is None:
        return Cell("–", "n")
    value = join(el("b", plain(row.measure, row.mean)), " ", _interval(row))
    if arm.id == BASE or verdict(row) == "not measured":
        return Cell(value, "n")
    delta = join("Δ ", *(join(one, " ") for one in _difference(row) if one))
    return Cell(join(el("div", value), el("div", delta, at={"class": _kind(row)})), "n")


def _interval(row: Row) -> Piece:
    return small(interval(row.measure, row.low, row.high))


def _difference(row: Row) -> list[str]:
    """A difference, its interval, its p, and what it shows."""
    if verdict(row) == "not measured":
        return ["–"]
    p = f"p {_p(row.p)}" if isfinite(row.p) else ""
    return [
        signed(row.measure, row.diff),
        small(signed_interval(row.measure, row.diff_low, row.diff_high)),
        small(p) if p else "",
        el("small", shown_text(row), at={"class": "word"}),
    ]


def _p(p: float) -> str:
    said = probability(p)
    return said if said.startswith("<") else f"= {said}"


def _kind(row: Row) -> str:
    return "shown" if verdict(row) in CLAIMS else "faint"


def _named(arm: Arm, rows: dict[str, Row]) -> Piece:
    units = next(iter(rows.values())).units
    return lines(arm.title, small(count(units, "training")))


def _head(measure: str) -> str:
    arrow = "↑" if MEASURES[measure].higher_is_better else "↓"
    return f"{MEASURES[measure].title}{', %' if measure in SHARES else ''} {arrow}"


def _shared(found: Findings) -> str:
    return "" if found.finished else SHARED


def _over(found: Findings, which: str, title: str) -> str:
    n = int(found.of(which)["n"].max())
    several = which == TEST and found.plan.splits.count > 1
    return f"{title}: {found.test_images if several else count(n, 'image')}"
