"""What was found, in plain sentences made from the table; none says more than the table shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from imil.study.arms import Arm
from imil.study.phrases import count, listed
from imil.study.report.findings import Findings
from imil.study.report.limits import unlearnt
from imil.study.report.number_format import VERDICTS, difference, interval, value
from imil.study.report.versus import MAIN, Versus, called, judged
from imil.study.result_rows import BASE, Group
from imil.study.statistics import ranking as rank
from imil.study.statistics.verdict import CLAIMS, verdict
from imil.study.study_folder import TEST


@dataclass(frozen=True)
class Paragraph:
    """Sentences under a few words."""

    title: str
    said: tuple[str, ...]


def summary(found: Findings, against: list[Versus], smallest: str) -> list[Paragraph]:
    """The summary, paragraph by paragraph.

    Args:
        against: IMIL against its controls.
        smallest: the sentence on the smallest effect that the study could have seen.
    """
    base = found.row(BASE, "accuracy")
    if base is None:
        return [Paragraph("Nothing to compare yet", (found.incomparable,))]
    level = f"The baseline has an accuracy of {_level(base)}."
    said = (ranking(found), level, unlearnt(found), smallest)
    first = Paragraph("In short", tuple(filter(None, said)))
    arms = [_imil(found, arm, against) for arm in found.readers]
    others = _others(found, "The other arms", found.others)
    return [one for one in (first, *arms, *others, *_elsewhere(found)) if any(one.said)]


def ranking(found: Findings) -> str:
    """What the arms' order means; where it means nothing, that is said first."""
    rows = found.of(TEST)["arm"].nunique()
    if not found.units:
        return found.incomparable
    if found.units < 2:
        planned = len(found.plan.seeds) * found.plan.splits.count
        have = "one seed" if planned == 1 else "one training each to compare so far"
        return (
            f"With {count(rows, 'row')} and {have} the rows cannot be ranked: one training each "
            "cannot tell an arm from the luck of its training, whatever the order of the table."
        )
    shown = [
        f"{arm.title} ({'; '.join(one)})" for arm in found.plan.rows if (one := _shown(found, arm))
    ]
    names = listed([called(one) for one in MAIN], "or")
    if not shown:
        return f"No arm is shown to differ from the baseline in {names} on the test set."
    return (
        f"Shown to differ from the baseline on the test set: {listed(shown)}. For all else in "
        f"{names} no difference is shown."
    )


def _shown(found: Findings, arm: Arm) -> list[str]:
    """The measures in which an arm is shown to be better or worse."""
    shows = {row.measure: verdict(row) for row in found.rows(arm.id, MAIN)}
    return [f"{called(of)}: {VERDICTS[one]}" for of, one in shows.items() if one in CLAIMS]


def networks(found: Findings, test: Group) -> str:
    """Which of the networks differ, as they were trained, where each arm was trained once."""
    units = [
        (arm.title, next(iter(own.values())))
        for arm in found.plan.rows
        if (own := test.arms[arm.id])
    ]
    if found.units != 1 or max(len(test.arms[arm.id]) for arm in found.plan.rows) > 1:
        return ""
    ranked = rank(dict(units))
    if not ranked.different_neighbours:
        return ""
    return (
        "The networks themselves, as they were trained once, can be told apart by McNemar's exact "
        f"test, corrected for all pairs: {ranked.sentence}"
    )


def _imil(found: Findings, arm: Arm, against: list[Versus]) -> Paragraph:
    rows = found.rows(arm.id, MAIN)
    if not rows:
        return Paragraph(arm.title, ("None of its trainings is done yet.",))
    first, *more = (difference(called(row.measure), row) for row in rows)
    said = [f"{arm.title} against the baseline: {first}.", *(f"{one}." for one in more)]
    return Paragraph(arm.title, (*map(begun, said), *judged(found, arm, against)))


def _others(found: Findings, title: str, arms: Sequence[Arm]) -> list[Paragraph]:
    said = []
    for arm in arms:
        row = found.row(arm.id, "accuracy")
        done = "not done yet" if row is None else difference("accuracy", row)
        said.append(f"{arm.title} against the baseline: {done}.")
    return [Paragraph(title, tuple(said))] if said else []


def _elsewhere(found: Findings) -> list[Paragraph]:
    """The IMIL arms on external sets."""
    made = []
    for which in (which for which in found.sets if which != TEST):
        base = found.row(BASE, "accuracy", which)
        if base is None:
            continue
        said = [f"The baseline has an accuracy of {_level(base)} there."]
        for arm in found.readers:
            numbers = [difference(called(r.measure), r) for r in found.rows(arm.id, MAIN, which)]
            if numbers:
                said.append(f"{arm.title} against the baseline: {'; '.join(numbers)}.")
        made.append(Paragraph(f"External set {which.removeprefix('external-')}", tuple(said)))
    return made


def begun(said: str) -> str:
    """The sentence with a capital at its start."""
    return said[:1].upper() + said[1:]


def _level(row: object) -> str:
    mean, low, high = (getattr(row, name) for name in ("mean", "low", "high"))
    if not isfinite(low):
        return value("accuracy", mean)
    return f"{value('accuracy', mean)}, 95 % interval {interval('accuracy', low, high)}"
