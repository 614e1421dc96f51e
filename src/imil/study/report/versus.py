"""IMIL against its controls: would the same cases have done without the reader's judgement?"""

from __future__ import annotations

from dataclasses import dataclass

from imil.study.arms import TITLES, Arm
from imil.study.phrases import listed
from imil.study.report.findings import Findings
from imil.study.report.number_format import difference
from imil.study.result_rows import Group
from imil.study.statistics import MEASURES, holm
from imil.study.statistics.verdict import verdict
from imil.study.study_folder import TEST

MAIN = ("accuracy", "auroc", "ece")  # paper, Table 1


@dataclass(frozen=True)
class Versus:
    """An IMIL arm minus one of its controls.

    Args:
        diff, diff_low, diff_high: paired, with its 95 % interval.
        p: of no difference, Holm-adjusted over the arm's controls.
        pairs: seeds and splits that both have.
    """

    arm: Arm
    control: Arm
    measure: str
    diff: float
    diff_low: float
    diff_high: float
    p: float
    pairs: int


def versus(found: Findings, group: Group) -> list[Versus]:
    """Every IMIL arm against each control that uses the same reader's cases.

    Args:
        group: what each arm predicts for the test set.
    """
    made: list[Versus] = []
    for arm in found.readers:
        own = [one for one in found.controls if one.reader == arm.reader]
        for measure in MAIN:
            deltas = [group.delta(arm.id, one.id, measure).difference for one in own]
            ps = holm([one.p for one in deltas])
            for control, one, p in zip(own, deltas, ps, strict=True):
                made.append(
                    Versus(arm, control, measure, one.value, one.low, one.high, p, one.units)
                )
    return made


def judged(found: Findings, arm: Arm, against: list[Versus]) -> list[str]:
    """What the controls leave of an IMIL arm, in sentences that stand beside its numbers."""
    rows = found.rows(arm.id, MAIN)
    gains = [row.measure for row in rows if verdict(row) == "better"]
    own = [one for one in against if one.arm == arm]
    if not own:
        return [_without(found, arm)]
    said = [_beside(found, list(dict.fromkeys(one.control for one in own)))]
    if not gains:
        return [
            *said,
            f"No gain of {arm.title} is shown, so there is none for controls to explain.",
        ]
    for measure in gains:
        said += _explained(found, arm, measure, [one for one in own if one.measure == measure])
    return said


def name(control: Arm) -> str:
    """What a control is called in a sentence."""
    return f"“{TITLES[control.kind]}”"


def called(measure: str) -> str:
    """A measure's name in a sentence.

    >>> called("accuracy"), called("auroc")
    ('accuracy', 'AUROC')
    """
    title = MEASURES[measure].title
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _without(found: Findings, arm: Arm) -> str:
    if not found.controls:
        return "No control was run: what would cause a difference cannot be said."
    theirs = found.controls[0].reader
    return (
        f"The controls use the cases of {theirs}, not those of {arm.reader}: what would cause a "
        "difference cannot be said."
    )


def _beside(found: Findings, controls: list[Arm]) -> str:
    """The controls' own differences from the baseline, in one sentence."""
    said = []
    for control in controls:
        row = found.row(control.id, "accuracy", TEST)
        own = "not done yet" if row is None else difference("", row).strip()
        said.append(f"{name(control)} {own}")
    return f"Controls against the baseline, accuracy: {'; '.join(said)}."


def _explained(found: Findings, arm: Arm, measure: str, own: list[Versus]) -> list[str]:
    """Whether a gain is more than the controls'."""
    more = [one for one in own if verdict(one) == "better"]
    rest = [one for one in own if one not in more]
    same = [one for one in rest if _gains(found, one)]
    open_ = [one for one in rest if one not in same]
    said = []
    if more:
        less = listed([f"{name(one.control)} ({_size(one)})" for one in more])
        said.append(f"Its gain in {called(measure)} is more than that of {less}.")
    if same:
        said.append(
            f"{_names(same)} did as much, as far as can be seen ({_sizes(arm, same)}): the gain in "
            f"{called(measure)} cannot be put down to where the reader looked."
        )
    if open_:  # that no difference is shown does not make them equal
        said.append(
            f"That {arm.title} gains more in {called(measure)} than {_names(open_)} is not shown "
            f"({_sizes(arm, open_)})."
        )
    return said


def _gains(found: Findings, one: Versus) -> bool:
    """Whether the control itself is shown to be better than the baseline."""
    row = found.row(one.control.id, one.measure, TEST)
    return row is not None and verdict(row) == "better"


def _names(own: list[Versus]) -> str:
    return listed([name(one.control) for one in own])


def _sizes(arm: Arm, own: list[Versus]) -> str:
    return f"{arm.title} " + "; ".join(f"minus {name(one.control)} {_size(one)}" for one in own)


def _size(one: Versus) -> str:
    return difference("", one).strip()
