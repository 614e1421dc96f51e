"""The summary in plain sentences; none says more than the results table shows."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, isnan

from imil.study.arms import Arm
from imil.study.phrases import count, listed
from imil.study.report.confirmation import confirmation_blocks, reference_name
from imil.study.report.control_comparisons import (
    MAIN,
    ControlComparison,
    control_sentences,
    measure_name,
)
from imil.study.report.findings import Findings, Row
from imil.study.report.limits import baseline_at_chance
from imil.study.report.number_format import VERDICTS, difference, interval, value
from imil.study.report.page import Block
from imil.study.report.shortcut_findings import conclusions
from imil.study.result_rows import BASE, Group
from imil.study.statistics import power_sentence, smallest_effect
from imil.study.statistics import ranking as rank
from imil.study.statistics.verdict import ALPHA, CLAIMS, verdict
from imil.study.study_folder import TEST

FEW = 10  # trainings; from fewer, a standard error is itself off by a quarter


def summary(
    findings: Findings, comparisons: list[ControlComparison], detectable: str
) -> list[Block]:
    """The summary, block by block.

    Args:
        comparisons: IMIL against its controls.
        detectable: the sentence on the minimum detectable difference.
    """
    baseline = findings.row(BASE, "accuracy")
    if baseline is None:
        return [Block("Nothing to compare yet", items=[findings.not_comparable])]
    accuracy = f"The baseline has an accuracy of {_with_interval(baseline)}."
    first = [ranking(findings), accuracy, baseline_at_chance(findings), detectable]
    planted = findings.plan.shortcut is not None
    arms = (*findings.imil_arms, *findings.treatment_arms)
    blocks = [
        Block("Main result", items=[sentence for sentence in first if sentence]),
        *([Block("Planted shortcut", items=conclusions(findings))] if planted else []),
        *(_with_controls(findings, arm, comparisons) for arm in arms),
        Block("Other arms", items=_other_arms(findings, findings.other_arms)),
        *confirmation_blocks(findings),
        *_external_sets(findings),
    ]
    return [block for block in blocks if block.items]


def ranking(findings: Findings) -> str:
    """Which arms differ from the baseline; or that the arms cannot be ranked, and why."""
    arms = findings.results_of(TEST)["arm"].nunique()
    if not findings.paired_trainings:
        return findings.not_comparable
    if findings.paired_trainings < 2:
        planned = len(findings.plan.seeds) * findings.plan.splits.count
        have = "one seed" if planned == 1 else "only one comparable training per arm so far"
        return (
            f"With {count(arms, 'arm')} and {have} the arms cannot be ranked: one training per arm "
            "cannot separate the effect of an arm from random variation between trainings, "
            "whatever the order of the table."
        )
    shown = [
        f"{arm.title} ({'; '.join(claims)})"
        for arm in findings.plan.rows
        # one that is tried without the shortcut differs because there is none
        if not arm.without_shortcut and (claims := _claims(findings, arm))
    ]
    names = listed([measure_name(measure) for measure in MAIN], "or")
    aside = ""
    if any(arm.without_shortcut for arm in findings.plan.rows):
        aside = " Arms that were tried without the shortcut are compared with “No shortcut” alone."
    if not shown:
        return f"No arm is shown to differ from the baseline in {names} on the test set.{aside}"
    return (
        f"Shown to differ from the baseline on the test set: {listed(shown)}. No other difference "
        f"in {names} is shown.{aside}"
    )


def _claims(findings: Findings, arm: Arm) -> list[str]:
    """The measures in which an arm is shown to be better or worse."""
    results = {row.measure: verdict(row) for row in findings.rows(arm.id, MAIN)}
    return [
        f"{measure_name(measure)}: {VERDICTS[result]}"
        for measure, result in results.items()
        if result in CLAIMS
    ]


def minimum_detectable_difference(findings: Findings, group: Group) -> str:
    """The smallest difference in accuracy from the baseline that would probably be shown.

    Of the IMIL arms (of all arms, where there is none) the least precise one counts; the range
    of all others follows.

    Args:
        group: what each arm predicts for the test set.
    """
    others = [arm for arm in findings.plan.rows if arm.id != BASE]
    deltas = {arm: group.delta(arm.id, arm.reference, "accuracy").difference for arm in others}
    compared = sum(not isnan(delta.p) for delta in deltas.values())
    effects = {
        arm: smallest_effect(delta, level=ALPHA / max(compared, 1)) for arm, delta in deltas.items()
    }
    known = {arm: effect for arm, effect in effects.items() if not isnan(effect)}
    candidates = [arm for arm in findings.imil_arms or findings.plan.rows if arm in known]
    if not candidates:
        return ""
    worst = max(candidates, key=lambda arm: known[arm])
    shared = set(group.arms[worst.id]) & set(group.arms[BASE])
    sentence = power_sentence(
        known.pop(worst),
        images=len({key for unit in shared for key in group.arms[BASE][unit].keys}),
        seeds=len({seed for seed, _ in shared}),
        splits=len({split for _, split in shared}),
        arms=compared,
    )
    trained = f"{count(len(shared), 'training')} of each"
    rough = "; a rough estimate, as the trainings are few" if 1 < len(shared) < FEW else ""
    first = f"Between {worst.title} and the baseline ({trained}{rough}): {_lower(sentence)}"
    return f"{first}{_other_effects(list(known.values()))}"


def _other_effects(effects: list[float]) -> str:
    if not effects:
        return ""
    low, high = (ceil(round(100 * min(effect, 1.0), 6)) for effect in (min(effects), max(effects)))
    span = f"{low}" if low == high else f"{low} to {high}"
    return f" For the other arms it is {span} points."


def network_differences(findings: Findings, test: Group) -> str:
    """Which of the trained networks differ, where each arm was trained once."""
    networks = {
        arm.title: next(iter(units.values()))
        for arm in findings.plan.rows
        if (units := test.arms[arm.id])
    }
    most = max(len(test.arms[arm.id]) for arm in findings.plan.rows)
    if findings.paired_trainings != 1 or most > 1:
        return ""
    ranked = rank(networks)
    if not ranked.different_neighbours:
        return ""
    return (
        "The trained networks themselves differ, by McNemar's exact test corrected for all pairs: "
        f"{ranked.sentence}"
    )


def _with_controls(findings: Findings, arm: Arm, comparisons: list[ControlComparison]) -> Block:
    rows = findings.rows(arm.id, MAIN)
    if not rows:
        return Block(arm.title, items=["None of its trainings is done yet."])
    first, *more = (difference(measure_name(row.measure), row) for row in rows)
    sentences = [f"{arm.title} against {reference_name(arm)}: {first}."]
    sentences += [f"{text[:1].upper()}{text[1:]}." for text in more]
    return Block(arm.title, items=[*sentences, *control_sentences(findings, arm, comparisons)])


def _other_arms(findings: Findings, arms: Sequence[Arm]) -> list[str]:
    sentences = []
    for arm in arms:
        if arm.without_shortcut:
            continue  # it is compared with the arm `no-shortcut`: see `conclusions`
        row = findings.row(arm.id, "accuracy")
        result = "not done yet" if row is None else difference("accuracy", row)
        sentences.append(f"{arm.title} against {reference_name(arm)}: {result}.")
    return sentences


def _external_sets(findings: Findings) -> list[Block]:
    """The IMIL arms and treatments on external sets."""
    blocks = []
    for set_name in findings.external_sets:
        baseline = findings.row(BASE, "accuracy", set_name)
        if baseline is None:
            continue
        sentences = [f"The baseline has an accuracy of {_with_interval(baseline)} on this set."]
        for arm in (*findings.imil_arms, *findings.treatment_arms):
            rows = findings.rows(arm.id, MAIN, set_name)
            results = [difference(measure_name(row.measure), row) for row in rows]
            if results:
                sentences.append(
                    f"{arm.title} against {reference_name(arm)}: {'; '.join(results)}."
                )
        blocks.append(Block(f"External set {set_name.removeprefix('external-')}", items=sentences))
    return blocks


def _with_interval(row: Row) -> str:
    accuracy = value("accuracy", row.mean)
    if not isfinite(row.low):
        return accuracy
    return f"{accuracy}, 95 % CI {interval('accuracy', row.low, row.high)}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
