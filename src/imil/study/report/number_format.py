"""Numbers, differences and intervals as the report prints them."""

from __future__ import annotations

from math import isfinite

from imil.study.statistics.verdict import Compared, Verdict, verdict

SHARES = (  # printed in percent
    *("accuracy", "sensitivity", "specificity"),
    *("accuracy_for", "accuracy_against", "worst_group", "flips", "energy"),
)

VERDICTS: dict[Verdict, str] = {
    "not measured": "not measured",
    "none shown": "no difference shown",
    "one training": "one training per arm: may be random variation",
    "not corrected": "not significant after correction for the number of arms and for few "
    "trainings",
    "better": "better",
    "worse": "worse",
}
SHORT_VERDICTS = VERDICTS | {
    "one training": "one training per arm",
    "not corrected": "not significant after correction",
}


def value(measure: str, number: float) -> str:
    """A number of a measure.

    >>> value("accuracy", 0.7834), value("shift", -0.05), value("ece", float("nan"))
    ('78.3 %', '−0.050', '–')
    """
    if not isfinite(number):
        return "–"
    text = f"{100 * number:.1f} %" if measure in SHARES else f"{number:.3f}"
    return text.replace("-", "−")


def plain(measure: str, number: float) -> str:
    """The same without the unit, for a column whose heading has it.

    >>> plain("accuracy", 0.7834), plain("brier", 0.12)
    ('78.3', '0.120')
    """
    return value(measure, number).removesuffix(" %")


def interval(measure: str, low: float, high: float) -> str:
    """An interval without its unit.

    >>> interval("accuracy", 0.72, 0.841), interval("nll", 0.4, 1.25)
    ('72.0 to 84.1', '0.400 to 1.250')
    """
    if not (isfinite(low) and isfinite(high)):
        return "–"
    return f"{plain(measure, low)} to {plain(measure, high)}"


def signed(measure: str, number: float) -> str:
    """A difference with its sign; shares in percentage points.

    >>> signed("accuracy", 0.015), signed("ece", -0.0121), signed("auroc", 0.0)
    ('+1.5', '−0.012', '0.000')
    """
    if not isfinite(number):
        return "–"
    text = f"{100 * number:.1f}" if measure in SHARES else f"{number:.3f}"
    if float(text) == 0:
        return text.lstrip("-")
    return f"−{text[1:]}" if text.startswith("-") else f"+{text}"


def signed_interval(measure: str, low: float, high: float) -> str:
    """The interval of a difference; a limit that is not zero is not printed as zero.

    >>> signed_interval("accuracy", -0.03, 0.061), signed_interval("accuracy", 0.0004, 0.02)
    ('−3.0 to +6.1', '+0.04 to +2.0')
    """
    if not (low > 0 or high < 0):
        return f"{signed(measure, low)} to {signed(measure, high)}"
    return f"{_nonzero(measure, low)} to {_nonzero(measure, high)}"


def _nonzero(measure: str, limit: float) -> str:
    text = signed(measure, limit)
    if limit == 0 or not isfinite(limit) or text.strip("0."):
        return text
    size = abs(limit) * (100 if measure in SHARES else 1)
    return f"{'+' if limit > 0 else '−'}{size:.1g}"


def points(measure: str) -> str:
    """The unit of a difference with a space before it, or nothing."""
    return " points" if measure in SHARES else ""


def difference(title: str, row: Compared) -> str:
    """A difference with its interval and verdict.

    Args:
        title: the measure in words, such as `accuracy`; may be empty.
    """
    result = verdict(row)
    if result == "not measured":
        return f"{title}: not measured".removeprefix(": ")
    size = f"{title} {signed(row.measure, row.diff)}{points(row.measure)}".strip()
    limits = signed_interval(row.measure, row.diff_low, row.diff_high)
    p = f" (p = {probability(row.p)})" if result == "not corrected" else ""
    return f"{size}, 95 % CI {limits}: {VERDICTS[result]}{p}"


def percent(share: float) -> str:
    """A share in whole percent.

    >>> percent(0.3), percent(-0.05)
    ('30 %', '−5 %')
    """
    return f"{_whole(share)} %"


def percent_interval(low: float, high: float) -> str:
    """The interval of a share in whole percent, which may lie below 0 or above 1.

    >>> percent_interval(-0.012, 0.349), percent_interval(0.004, 1.2)
    ('−1 to 35', '0.4 to 120')
    """
    return f"{_whole(low)} to {_whole(high)}"


def _whole(share: float) -> str:
    """Whole percent; a share that is not zero is not printed as zero."""
    text = f"{100 * share:.0f}"
    text = f"{100 * share:.1g}" if float(text) == 0 and share else text
    return text.replace("-", "−")


def probability(p: float) -> str:
    """A p value.

    >>> probability(0.0312), probability(0.2), probability(0.00001), probability(1.0)
    ('0.031', '0.20', '< 0.001', '1.00')
    """
    if not isfinite(p):
        return "–"
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_equals(p: float) -> str:
    """A p value with its letter; nothing where there is none.

    >>> p_equals(0.0312), p_equals(0.00001), p_equals(float("nan"))
    ('p = 0.031', 'p < 0.001', '')
    """
    if not isfinite(p):
        return ""
    text = probability(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
