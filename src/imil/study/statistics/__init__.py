"""Statistics of a study, from the predictions of its trainings alone.

SciPy and statsmodels are used, or are the reference in the tests, where they have what is needed.
They have no resampling of images that several trainings share, and no DeLong test; the reason for
each function of our own stands in its file.
"""

from imil.study.statistics.counterfactual_measures import (
    COUNTERFACTUAL_MEASURES,
    ENERGY,
    SHORTCUT_MEASURES,
    energies,
    side_by_side,
)
from imil.study.statistics.delong import AurocDifference, delong
from imil.study.statistics.estimates import (
    NO_DIFFERENCE,
    Difference,
    Interval,
    Spread,
    paired,
    spread,
)
from imil.study.statistics.gap_closed import gap_closed
from imil.study.statistics.measures import MEASURES, Measure
from imil.study.statistics.power import power_sentence, smallest_effect
from imil.study.statistics.pvalues import combined, holm, mcnemar
from imil.study.statistics.ranking import Ranking, ranking

__all__ = [
    "COUNTERFACTUAL_MEASURES",
    "ENERGY",
    "MEASURES",
    "NO_DIFFERENCE",
    "SHORTCUT_MEASURES",
    "AurocDifference",
    "Difference",
    "Interval",
    "Measure",
    "Ranking",
    "Spread",
    "combined",
    "delong",
    "energies",
    "gap_closed",
    "holm",
    "mcnemar",
    "paired",
    "power_sentence",
    "ranking",
    "side_by_side",
    "smallest_effect",
    "spread",
]
