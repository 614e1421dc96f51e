"""How large a difference the study could have seen, in a sentence."""

from __future__ import annotations

from math import isnan

from imil.study.report.findings import Findings
from imil.study.statistics import power_sentence, smallest_effect
from imil.study.tables import BASE, Group


def smallest(found: Findings, group: Group) -> str:
    """The smallest difference in accuracy that the study would probably have seen.

    Of the IMIL arms (of all arms, where there is none) the one that is known worst counts.

    Args:
        group: what each arm predicts for the test set.
    """
    arms = [arm.id for arm in found.readers or found.others]
    known = {arm: smallest_effect(group.delta(arm, BASE, "accuracy").found) for arm in arms}
    known = {arm: effect for arm, effect in known.items() if not isnan(effect)}
    if not known:
        return ""
    worst = max(known, key=lambda arm: known[arm])
    shared = set(group.arms[worst]) & set(group.arms[BASE])
    return power_sentence(
        known[worst],
        images=len({key for unit in shared for key in group.arms[BASE][unit].keys}),
        seeds=len({seed for seed, _ in shared}),
        splits=len({split for _, split in shared}),
    )
