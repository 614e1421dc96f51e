"""The statistics of the study bench, from predictions alone."""

from imil.study.statistics.delong import Tested, delong
from imil.study.statistics.estimates import (
    NO_DIFFERENCE,
    Difference,
    Interval,
    Spread,
    paired,
    spread,
)
from imil.study.statistics.measures import MEASURES, Measure
from imil.study.statistics.power import power_sentence, smallest_effect
from imil.study.statistics.pvalues import combined, holm, mcnemar
from imil.study.statistics.ranking import Ranking, ranking

__all__ = [
    "MEASURES",
    "NO_DIFFERENCE",
    "Difference",
    "Interval",
    "Measure",
    "Ranking",
    "Spread",
    "Tested",
    "combined",
    "delong",
    "holm",
    "mcnemar",
    "paired",
    "power_sentence",
    "ranking",
    "smallest_effect",
    "spread",
]
