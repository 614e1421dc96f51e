"""The measures of the results table, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imil.metrics.classification import Labels, Probs
from imil.study.statistics import weighted
from imil.study.statistics.weighted import Counts, Values


@dataclass(frozen=True)
class Measure:
    """One number about predictions.

    Args:
        name: in tables.
        title: for people.
        up: whether more is better.
        drawn: the number of each of many resamples, from `imil.study.statistics.weighted`.
        share: what it is a share of: images, those of a class, or pairs of images of two
            classes; "" where it is no share.
        most: the end of its range, which begins at 0.
    """

    name: str
    title: str
    up: bool
    drawn: Callable[[Probs, Labels, Counts], Values]
    share: Literal["", "images", "class", "pairs"] = ""
    most: float = 1.0

    def of(self, probs: Probs, labels: Labels) -> float:
        """The number of the images themselves; NaN where it does not exist.

        It is that of `imil.metrics.classification`, which cannot weigh images, and whose AUROC
        divides in float32.

        Args:
            probs: (N, K), rows sum to 1.
            labels: (N,), in [0, K).

        >>> MEASURES["auroc"].of(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1]))
        1.0
        """
        return float(self.drawn(probs, labels, np.ones((1, len(labels))))[0])


_ALL = (
    Measure("accuracy", "Accuracy", True, weighted.accuracy, "images"),
    Measure("auroc", "AUROC", True, weighted.auroc, "pairs"),
    Measure("ece", "ECE", False, weighted.ece),
    Measure("adaptive_ece", "Adaptive ECE", False, weighted.adaptive_ece),
    Measure("brier", "Brier score", False, weighted.brier, most=2.0),
    Measure("nll", "Negative log-likelihood", False, weighted.nll, most=np.inf),
    Measure("sensitivity", "Sensitivity", True, weighted.sensitivity, "class"),
    Measure("specificity", "Specificity", True, weighted.specificity, "class"),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
