"""The measures of the results table, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from imil import metrics
from imil.metrics import Labels, Probs, Values, Weights


@dataclass(frozen=True)
class Measure:
    """A metric, with what tables and statistics need to know of it.

    Args:
        name: in files.
        title: for people.
        higher_is_better: whether a higher value is the better one.
        metric: a function of `imil.metrics`.
        share: what it is a share of: images, those of a class, or pairs of images of two
            classes; "" where it is not a share.
        maximum, minimum: the ends of its range.
    """

    name: str
    title: str
    higher_is_better: bool
    metric: Callable[[Probs, Labels, Weights | None], Values]
    share: Literal["", "images", "class", "pairs"] = ""
    maximum: float = 1.0
    minimum: float = 0.0

    def value(self, probs: Probs, labels: Labels) -> float:
        """The value of one training's predictions; NaN where it is not defined.

        Args:
            probs: (N, K), rows sum to 1.
            labels: (N,), in [0, K).

        >>> import numpy as np
        >>> MEASURES["auroc"].value(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1]))
        1.0
        """
        return float(self.metric(probs, labels, None))


_ALL = (
    Measure("accuracy", "Accuracy", True, metrics.accuracy, "images"),
    Measure("auroc", "AUROC", True, metrics.auroc, "pairs"),
    Measure("ece", "ECE", False, metrics.expected_calibration_error),
    Measure("adaptive_ece", "Adaptive ECE", False, metrics.adaptive_calibration_error),
    Measure("brier", "Brier score", False, metrics.brier_score, maximum=2.0),
    Measure(
        "nll",
        "Negative log-likelihood",
        False,
        metrics.negative_log_likelihood,
        maximum=math.inf,
    ),
    Measure("sensitivity", "Sensitivity", True, metrics.sensitivity, "class"),
    Measure("specificity", "Specificity", True, metrics.specificity, "class"),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
