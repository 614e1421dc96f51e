"""IMIL and treatments against their controls: do the reader or the cases explain a gain?"""

from __future__ import annotations

from dataclasses import dataclass

from imil.study.arms import Arm
from imil.study.phrases import listed
from imil.study.report.findings import Findings
from imil.study.report.number_format import difference
from imil.study.result_rows import Group
from imil.study.statistics import MEASURES, holm
from imil.study.statistics.verdict import verdict

MAIN = ("accuracy", "auroc", "ece")  # paper, Table 1


@dataclass(frozen=True)
class ControlComparison:
    """An IMIL arm or a treatment minus one of its controls.

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


def compare_with_controls(findings: Findings, group: Group) -> list[ControlComparison]:
    """Every IMIL arm against each control with the same reader's cases, treatments likewise.

    Args:
        group: what each arm predicts for the test set.
    """
    comparisons: list[ControlComparison] = []
    for arm in (*findings.imil_arms, *findings.treatment_arms):
        controls = findings.controls_of(arm)
        for measure in MAIN:
            deltas = [group.delta(arm.id, control.id, measure).difference for control in controls]
            ps = holm([delta.p for delta in deltas])
            comparisons += [
                ControlComparison(
                    arm, control, measure, delta.value, delta.low, delta.high, p, delta.units
                )
                for control, delta, p in zip(controls, deltas, ps, strict=True)
            ]
    return comparisons


def control_sentences(
    findings: Findings, arm: Arm, comparisons: list[ControlComparison]
) -> list[str]:
    """Whether the controls explain the gains of an arm, in sentences."""
    gains = [row.measure for row in findings.rows(arm.id, MAIN) if verdict(row) == "better"]
    of_arm = [comparison for comparison in comparisons if comparison.arm == arm]
    if not of_arm:
        return [_no_control(findings, arm)]
    controls = list(dict.fromkeys(comparison.control for comparison in of_arm))
    sentences = [_controls_against_baseline(findings, controls)]
    if not gains:
        return [
            *sentences,
            f"No gain of {arm.title} is shown, so there is none for the controls to explain.",
        ]
    for measure in gains:
        of_measure = [comparison for comparison in of_arm if comparison.measure == measure]
        sentences += _explain_gain(findings, arm, measure, of_measure)
    return sentences


def measure_name(measure: str) -> str:
    """A measure's name within a sentence.

    >>> measure_name("accuracy"), measure_name("auroc")
    ('accuracy', 'AUROC')
    """
    title = MEASURES[measure].title
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _control_name(control: Arm) -> str:
    return f"“{control.short_title}”"


def _no_control(findings: Findings, arm: Arm) -> str:
    if arm.kind != "imil" or not findings.controls:
        return "No control was run: the cause of a difference cannot be determined."
    return (
        f"The controls use the cases of {findings.controls[0].reader}, not those of {arm.reader}: "
        "the cause of a difference cannot be determined."
    )


def _controls_against_baseline(findings: Findings, controls: list[Arm]) -> str:
    """The controls' differences from the baseline, in one sentence."""
    parts = []
    for control in controls:
        row = findings.row(control.id, "accuracy")
        result = "not done yet" if row is None else difference("", row)
        parts.append(f"{_control_name(control)} {result}")
    return f"Controls against the baseline, accuracy: {'; '.join(parts)}."


def _explain_gain(
    findings: Findings, arm: Arm, measure: str, comparisons: list[ControlComparison]
) -> list[str]:
    """Whether a gain is larger than those of the controls."""
    larger = [one for one in comparisons if verdict(one) == "better"]
    rest = [one for one in comparisons if one not in larger]
    similar = [one for one in rest if _control_gains(findings, one)]
    # that no difference is shown does not make them equal
    unclear = [one for one in rest if one not in similar]
    sentences = []
    name = measure_name(measure)
    if larger:
        exceeded = [f"{_control_name(one.control)} ({difference('', one)})" for one in larger]
        sentences.append(f"Its gain in {name} is larger than that of {listed(exceeded)}.")
    if similar:
        sentences.append(
            f"{_names(similar)} also improved, and {arm.short_title} is not shown to gain more "
            f"({_differences(arm, similar)}): the gain in {name} cannot be attributed to the "
            "squares that the reader selected."
        )
    if unclear:
        sentences.append(
            f"It is not shown that {arm.title} gains more in {name} than {_names(unclear)} "
            f"({_differences(arm, unclear)})."
        )
    return sentences


def _control_gains(findings: Findings, comparison: ControlComparison) -> bool:
    """Whether the control itself is shown to be better than the baseline."""
    row = findings.row(comparison.control.id, comparison.measure)
    return row is not None and verdict(row) == "better"


def _names(comparisons: list[ControlComparison]) -> str:
    return listed([_control_name(one.control) for one in comparisons])


def _differences(arm: Arm, comparisons: list[ControlComparison]) -> str:
    parts = [f"minus {_control_name(one.control)} {difference('', one)}" for one in comparisons]
    return f"{arm.title} {'; '.join(parts)}"
