"""IMIL and treatments against their controls where a planted shortcut argues against the class."""

from __future__ import annotations

from collections.abc import Sequence

from imil.study.arms import Arm
from imil.study.report.control_comparisons import ControlComparison
from imil.study.report.findings import Findings
from imil.study.statistics import SHORTCUT_MEASURES, holm

COMPARED = ("accuracy_against", "auroc_against", "worst_group", "shift")


def compare_on_shortcut(
    findings: Findings, arm: Arm, measures: Sequence[str] = COMPARED
) -> list[ControlComparison]:
    """An arm minus each of its controls; p is corrected over the controls."""
    study = findings.shortcut_trainings
    done = {one.id for one in study.arms}
    controls = [one for one in findings.controls_of(arm) if {one.id, arm.id} <= done]
    comparisons: list[ControlComparison] = []
    for name in measures:
        measure = SHORTCUT_MEASURES[name]
        deltas = [study.difference(arm.id, control.id, measure) for control in controls]
        comparisons += [
            ControlComparison(
                arm, control, name, delta.value, delta.low, delta.high, p, delta.units
            )
            for control, delta, p in zip(
                controls, deltas, holm([delta.p for delta in deltas]), strict=True
            )
        ]
    return comparisons
