"""What a difference shows, and what it does not."""

from __future__ import annotations

from math import isfinite
from typing import Literal, Protocol

from imil.study.statistics.measures import MEASURES

ALPHA = 0.05

Verdict = Literal["not measured", "none shown", "one training", "not corrected", "better", "worse"]
CLAIMS: tuple[Verdict, ...] = ("better", "worse")  # the rest claims nothing


class Compared(Protocol):
    """A row of the results table, as `itertuples` gives it."""

    @property
    def measure(self) -> str:
        """Its name."""

    @property
    def pairs(self) -> int:
        """Seeds and splits that both arms have."""

    @property
    def diff(self) -> float:
        """Arm minus baseline."""

    @property
    def diff_low(self) -> float:
        """Lower end."""

    @property
    def diff_high(self) -> float:
        """Upper end."""

    @property
    def p(self) -> float:
        """Of no difference, corrected for the number of arms; NaN where not measured."""


def verdict(row: Compared) -> Verdict:
    """What a difference shows; anything but `better` and `worse` is no claim.

    An interval that includes zero shows nothing, whatever the sign. One training each cannot tell
    an arm from the luck of a seed, and what is gone once corrected for the number of arms is no
    finding.
    """
    if not (isfinite(row.diff_low) and isfinite(row.diff_high)):
        return "not measured"
    if row.diff_low <= 0 <= row.diff_high:
        return "none shown"
    if row.pairs < 2:
        return "one training"
    if row.p >= ALPHA:
        return "not corrected"
    return "better" if (row.diff > 0) == MEASURES[row.measure].higher_is_better else "worse"
