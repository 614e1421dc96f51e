"""What a study with a planted shortcut has found, in sentences; none says more than its table.

An arm is said to close the gap only where the difference from the baseline is shown, the interval
of the closed share excludes zero, and that of none of its controls does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from imil.errors import DataError
from imil.json_files import read_json
from imil.study.arms import Arm
from imil.study.phrases import count, listed
from imil.study.report.findings import Findings, Row
from imil.study.report.number_format import (
    VERDICTS,
    difference,
    interval,
    percent,
    percent_interval,
    value,
)
from imil.study.report.shortcut_comparisons import compare_on_shortcut
from imil.study.result_rows import BASE
from imil.study.shortcut_trainings import CLEAN
from imil.study.statistics.verdict import verdict

MAIN = "accuracy_against"
AGAINST = "accuracy with the shortcut against the class"


def conclusions(findings: Findings) -> list[str]:
    """How far the baseline follows the shortcut, and what each arm and its controls do about it."""
    base = findings.shortcut_row(BASE, MAIN)
    if base is None:
        return ["No training of the baseline was tested with the shortcut yet."]
    arms = [arm for arm in findings.plan.rows if _is_tried(arm)]
    of_arm = _closing if gap_is_shown(findings) else _difference
    sentences = [_baseline(findings), _gap(findings)]
    sentences += [f"{of_arm(findings, arm)}{_partly_same(findings, arm)}" for arm in arms]
    costs = [_cost(findings, arm) for arm in findings.plan.rows if arm.without_shortcut]
    return [text for text in (*sentences, *costs, _energy(findings)) if text]


def gap_is_shown(findings: Findings) -> bool:
    """Whether the baseline is shown to lose accuracy against the class by the shortcut."""
    clean = findings.shortcut_row(CLEAN, MAIN)
    return clean is not None and verdict(clean) == "better"


def closed_text(row: Row) -> str:
    """The closed share of the gap with its interval, such as `34 %, 95 % CI 20 to 48`."""
    if not isfinite(row.closed):
        return "–"
    limits = "cannot be computed"
    if isfinite(row.closed_low):
        limits = percent_interval(row.closed_low, row.closed_high)
    return f"{percent(row.closed)}, 95 % CI {limits}"


def _is_tried(arm: Arm) -> bool:
    """Whether it is an arm that may close the gap, and no control."""
    return arm.planted and arm.id != BASE and not arm.is_control and not arm.control


def _baseline(findings: Findings) -> str:
    names = ("accuracy_for", "accuracy", MAIN)
    rows = {name: findings.shortcut_row(BASE, name) for name in names}
    with_for, plain, against = (_with_interval(rows[name]) for name in names)
    return (
        f"The baseline's accuracy is {with_for} where the shortcut argues for the true class, "
        f"{plain} on the images as they are, and {against} where it argues against the class."
    )


def _with_interval(row: Row | None) -> str:
    if row is None:
        return "–"
    return f"{value(row.measure, row.mean)} (95 % CI {interval(row.measure, row.low, row.high)})"


def _gap(findings: Findings) -> str:
    clean = findings.shortcut_row(CLEAN, MAIN)
    if clean is None or not clean.pairs:
        return (
            "No training without the shortcut can be compared with the baseline: how much the "
            "shortcut costs, and how much of that an arm makes good, is not known."
        )
    text = f"The training without the shortcut, minus the baseline: {difference(AGAINST, clean)}"
    if gap_is_shown(findings):
        return f"{text}. This is the gap that a treatment could close."
    if verdict(clean) == "one training":
        return f"{text}. What part of this gap an arm closes cannot be concluded from it."
    return (
        f"{text}. So it is not shown that the baseline loses by the shortcut, and this study "
        "cannot tell whether an arm cures it."
    )


def _closing(findings: Findings, arm: Arm) -> str:
    """Whether it closes the gap, and whether its controls do."""
    row = findings.shortcut_row(arm.id, MAIN)
    if row is None or not row.pairs:
        return f"{arm.title}: not done yet."
    if same := _same_as(findings, arm, BASE):
        return same
    if not isfinite(row.closed):
        return (
            f"{arm.title} shares no training with “No shortcut”: what part of the gap it closes is "
            "not known."
        )
    trained = count(row.pairs, "training")
    share = f"{closed_text(row)}, of the gap in {AGAINST} ({trained})"
    if not _closes(row):
        controls = _closing_controls(findings, arm)
        return f"It is not shown that {arm.title} closes the gap: {share}{_why(row)}.{controls}"
    return _with_controls(findings, arm, row, share)


def _closes(row: Row) -> bool:
    return verdict(row) == "better" and row.closed_low > 0


def _why(row: Row) -> str:
    """What else than the interval of the share speaks against it."""
    result = verdict(row)
    if result in ("one training", "not corrected"):
        return f" ({VERDICTS[result]})"
    return f" ({difference('the accuracy', row)})" if result == "worse" else ""


def _closing_controls(findings: Findings, arm: Arm) -> str:
    """Which controls close it where the arm is not shown to."""
    rows = [findings.shortcut_row(one.id, MAIN) for one in findings.controls_of(arm)]
    names = [f"“{row.title}” ({closed_text(row)})" for row in rows if row and _closes(row)]
    if not names:
        return ""
    verb = "closes" if len(names) == 1 else "close"
    return f" {listed(names)} {verb} part of it, without the reader's judgement."


def _with_controls(findings: Findings, arm: Arm, row: Row, share: str) -> str:
    """What can be claimed of an arm whose own interval excludes zero."""
    gains = f"{arm.title} has a higher {AGAINST} than the baseline ({closed_text(row)}, of the gap)"
    controls = findings.controls_of(arm)
    if not controls:
        return f"{gains}. No control was run: it is not known whether the reader's squares matter."
    rows = {one: findings.shortcut_row(one.id, MAIN) for one in controls}
    as_well = [f"“{one.short_title}” ({closed_text(r)})" for one, r in rows.items() if _open(r)]
    if as_well:
        subject = "so has the control" if len(as_well) == 1 else "so have the controls"
        return (
            f"{gains}. But {subject} {listed(as_well)}: this cannot be attributed to the squares "
            "that the reader selected."
        )
    unknown = [f"“{one.short_title}”" for one, r in rows.items() if not _is_known(r)]
    if unknown:
        return f"{gains}. It is not known yet whether {listed(unknown, 'or')} does as well."
    return f"{arm.title} closes {share}{_controls_text(findings, rows)}{_not_larger(findings, arm)}"


def _controls_text(findings: Findings, rows: Mapping[Arm, Row]) -> str:
    """What the controls close; or that they test no other squares, as they changed nothing."""
    same = findings.shortcut_trainings.equal_units
    idle = [one for one in rows if len(set(same(one.id, BASE))) == 1]
    texts = []
    if others := [
        f"“{one.short_title}” {closed_text(rows[one])}" for one in rows if one not in idle
    ]:
        texts.append(f", and no control is shown to: {'; '.join(others)}")
    if idle:
        names = listed([f"“{one.short_title}”" for one in idle])
        texts.append(
            f". {names} changed nothing, the predictions are exactly the baseline's: this does not "
            "show what these squares would do"
        )
    return f"{''.join(texts)}."


def _not_larger(findings: Findings, arm: Arm) -> str:
    """Than which controls it is not shown to be better; or nothing."""
    compared = compare_on_shortcut(findings, arm, (MAIN,))
    rest = [one for one in compared if verdict(one) != "better"]
    if not rest:
        return ""
    names = [f"“{one.control.short_title}” ({difference('', one)})" for one in rest]
    return f" But it is not shown to be better than {listed(names, 'or')}."


def _open(row: Row | None) -> bool:
    """Whether the interval of a control's share lies above zero."""
    return row is not None and row.closed_low > 0


def _is_known(row: Row | None) -> bool:
    return row is not None and isfinite(row.closed_low) and row.pairs > 1


def _difference(findings: Findings, arm: Arm) -> str:
    """The difference from the baseline, where there is no gap to compare it with."""
    row = findings.shortcut_row(arm.id, MAIN)
    if row is None or not row.pairs:
        return f"{arm.title}: not done yet."
    same = _same_as(findings, arm, BASE)
    return same or f"{arm.title} against the baseline: {difference(AGAINST, row)}."


def _cost(findings: Findings, arm: Arm) -> str:
    """What a treatment costs where there is nothing to cure."""
    row = findings.shortcut_row(arm.id, "accuracy")
    if row is None or not row.pairs:
        return f"{arm.title}: not done yet."
    if same := _same_as(findings, arm, CLEAN):
        return same
    return (
        f"Where no shortcut is planted, {arm.treatment} against the same training without it: "
        f"{difference('accuracy', row)}."
    )


def _same_as(findings: Findings, arm: Arm, other: str) -> str:
    """That an arm predicts exactly what another does, or nothing where any training differs."""
    equal, shared = findings.shortcut_trainings.equal_units(arm.id, other)
    if not shared or equal < shared:
        return ""
    title = next(one.title for one in findings.plan.rows if one.id == other)
    return (
        f"{arm.title} changed nothing: in {count(shared, 'training')} its predictions are exactly "
        f"those of {title}.{_reasons(findings, arm)}"
    )


def _partly_same(findings: Findings, arm: Arm) -> str:
    """In how many of its trainings an arm changed nothing, where it is some of them."""
    equal, shared = findings.shortcut_trainings.equal_units(arm.id, BASE)
    return f" In {equal} of {shared} trainings it changed nothing." if 0 < equal < shared else ""


def _reasons(findings: Findings, arm: Arm) -> str:
    """What the treatment wrote of its rounds, the most frequent sentence."""
    sentences: Counter[str] = Counter()
    for job, state in findings.jobs.items():
        if job.arm == arm.id and state == "done" and job.run.treatment.exists():
            sentences.update(set(_rounds_of(job.run.treatment)))  # each training once
    if not sentences:
        return ""
    (text, times), *_ = sentences.most_common(1)
    return f" What it reports{f' in {times} of them' if times > 1 else ''}: “{text}”"


def _rounds_of(path: Path) -> list[str]:
    """What a treatment wrote of each of its rounds.

    Raises: DataError: the file is damaged.
    """
    try:
        return [str(one["sentence"]) for one in read_json(path, "do the job again")]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} cannot be read: do the job again") from error


def _energy(findings: Findings) -> str:
    """Where the heat-maps look, beside chance."""
    rows = [findings.shortcut_row(arm, "energy") for arm in (BASE, CLEAN)]
    parts = [f"{_with_interval(row)} in {row.title}" for row in rows if row and isfinite(row.mean)]
    area = findings.shortcut_trainings.area
    if not parts:
        return ""
    return (
        f"The squares of the shortcut hold {listed(parts)} of the heat-maps' energy; by their area "
        f"they would hold {value('energy', area)}."
    )
