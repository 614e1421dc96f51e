"""How large a difference the study could have seen, in sentences."""

from __future__ import annotations

from math import ceil, isnan

from imil.study.phrases import count
from imil.study.report.findings import Findings
from imil.study.result_rows import BASE, Group
from imil.study.statistics import power_sentence, smallest_effect
from imil.study.statistics.verdict import ALPHA

FEW = 10  # trainings; from fewer, a standard error is itself off by a quarter


def smallest(found: Findings, group: Group) -> str:
    """The smallest difference in accuracy from the baseline that would probably be shown.

    Of the IMIL arms (of all arms, where there is none) the one that is known worst counts; the
    range of all others is said beside it.

    Args:
        group: what each arm predicts for the test set.
    """
    others = [arm for arm in found.plan.rows if arm.id != BASE]
    deltas = {arm: group.delta(arm.id, BASE, "accuracy").difference for arm in others}
    compared = sum(not isnan(one.p) for one in deltas.values())
    effects = {
        arm: smallest_effect(one, level=ALPHA / max(compared, 1)) for arm, one in deltas.items()
    }
    known = {arm: effect for arm, effect in effects.items() if not isnan(effect)}
    wanted = [arm for arm in found.readers or found.plan.rows if arm in known]
    if not wanted:
        return ""
    worst = max(wanted, key=lambda arm: known[arm])
    shared = set(group.arms[worst.id]) & set(group.arms[BASE])
    said = power_sentence(
        known.pop(worst),
        images=len({key for unit in shared for key in group.arms[BASE][unit].keys}),
        seeds=len({seed for seed, _ in shared}),
        splits=len({split for _, split in shared}),
        arms=compared,
    )
    trained = f"{count(len(shared), 'training')} of each"
    rough = ", from which this is estimated only roughly" if 1 < len(shared) < FEW else ""
    first = f"Between {worst.title} and the baseline ({trained}{rough}): w{said[1:]}"
    return f"{first}{_others(list(known.values()))}"


def _others(effects: list[float]) -> str:
    if not effects:
        return ""
    low, high = (ceil(round(100 * min(effect, 1.0), 6)) for effect in (min(effects), max(effects)))
    span = f"{low}" if low == high else f"{low} to {high}"
    return f" For the other arms it is {span} points."
