"""What the report says of a screening, and of arms that are not compared with the baseline."""

from __future__ import annotations

from math import isfinite

from imil.study.arms import Arm
from imil.study.phrases import count
from imil.study.report.findings import Findings
from imil.study.report.number_format import (
    p_equals,
    points,
    signed,
    signed_interval,
)
from imil.study.report.page import Block
from imil.study.result_rows import BASE
from imil.study.screening import Confirmation, candidates, confirm, screening_measure
from imil.study.statistics import COUNTERFACTUAL_MEASURES, MEASURES


def confirmation_blocks(findings: Findings) -> list[Block]:
    """What the screening chose, and which arms are compared with another than the baseline."""
    sentences = []
    if findings.plan.screening is not None:
        sentences.append(_sentence(findings))
    others = [arm for arm in findings.plan.rows if arm.share < 1 and arm.kind == "treatment"]
    shares = [f"{arm.title} is compared with {reference_name(arm)}." for arm in others]
    blocks = [Block("Screening and confirmation", items=sentences)]
    return [*blocks, Block("Shares of the training images", items=shares)]


def reference_name(arm: Arm) -> str:
    """The arm that it is compared with, in a sentence: `the baseline`, or that of its share."""
    if arm.reference in ("", BASE):
        return "the baseline"
    return f"the baseline with {arm.share:g} of the training images"


def _sentence(findings: Findings) -> str:
    """What was chosen on the seeds of the screening, and what the other seeds show."""
    measure = _name(screening_measure(findings.plan).name)
    found = confirm(findings.predictions)
    if found is None:
        number = len(candidates(findings.plan))
        return (
            f"The screening is not done: the best of {count(number, 'treatment')} in {measure} is "
            "chosen once all are trained with its seeds."
        )
    chosen = (
        f"Of {count(found.candidates, 'treatment')}, {found.title} gained most in {measure} over "
        f"the {count(found.screening_seeds, 'seed')} of the screening ({_signed(found)} against "
        f"{found.reference}, which choosing makes look too good)"
    )
    if not isfinite(found.diff_low):
        return f"{chosen}; it is not confirmed yet: no other seed is done."
    return (
        f"{chosen}; over the {count(found.seeds, 'other seed')}, which had no part in the choice, "
        f"the difference is {signed(found.measure, found.diff)}{points(found.measure)}, 95 % CI "
        f"{signed_interval(found.measure, found.diff_low, found.diff_high)}, "
        f"{p_equals(found.p)}: {_verdict(found)}."
    )


def _signed(found: Confirmation) -> str:
    return f"{signed(found.measure, found.screening_diff)}{points(found.measure)}"


def _verdict(found: Confirmation) -> str:
    """What the other seeds show, in a word or two."""
    if found.seeds < 2:
        return "one seed cannot confirm it"
    if found.diff_low <= 0 <= found.diff_high or not found.p < 0.05:
        return "not confirmed"
    measure = (COUNTERFACTUAL_MEASURES | MEASURES)[found.measure]
    better = (found.diff > 0) == measure.higher_is_better
    return "confirmed" if better else "it is worse"


def _name(measure: str) -> str:
    """The measure's name within a sentence."""
    title = (COUNTERFACTUAL_MEASURES | MEASURES)[measure].title
    return title if title[:2].isupper() else title[:1].lower() + title[1:]
