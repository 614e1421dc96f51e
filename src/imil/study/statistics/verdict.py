"""The verdict on a difference: what it shows, and what it does not."""

from __future__ import annotations

from math import isfinite
from typing import Literal, Protocol

from imil.study.statistics.counterfactual_measures import SHORTCUT_MEASURES
from imil.study.statistics.measures import MEASURES

ALPHA = 0.05

Verdict = Literal["not measured", "none shown", "one training", "not corrected", "better", "worse"]
HIGHER_IS_BETTER = {
    one.name: one.higher_is_better for one in (*MEASURES.values(), *SHORTCUT_MEASURES.values())
}
CLAIMS: tuple[Verdict, ...] = ("better", "worse")  # the others claim nothing


class Compared(Protocol):
    """A row of the results table, as `itertuples` gives it."""

    @property
    def measure(self) -> str:
        """Name of the measure."""

    @property
    def pairs(self) -> int:
        """Number of seeds and splits that both arms have."""

    @property
    def diff(self) -> float:
        """Arm minus baseline."""

    @property
    def diff_low(self) -> float:
        """Lower end of its 95 % interval."""

    @property
    def diff_high(self) -> float:
        """Upper end of its 95 % interval."""

    @property
    def p(self) -> float:
        """p of no difference, corrected for the number of arms; NaN if not measured."""


def verdict(row: Compared) -> Verdict:
    """What a difference shows; verdicts other than `better` and `worse` are not claims.

    An interval that includes zero shows nothing, whatever the sign. With one training each, the
    effect of an arm cannot be separated from that of a seed. A difference that is not significant
    once corrected for the number of arms is not a finding.
    """
    if not (isfinite(row.diff_low) and isfinite(row.diff_high)):
        return "not measured"
    if row.diff_low <= 0 <= row.diff_high:
        return "none shown"
    if row.pairs < 2:
        return "one training"
    if row.p >= ALPHA:
        return "not corrected"
    return "better" if (row.diff > 0) == HIGHER_IS_BETTER[row.measure] else "worse"
