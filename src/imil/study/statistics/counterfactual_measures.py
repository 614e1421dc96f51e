"""Measures of test images that are predicted with a planted shortcut for and against their class.

One value holds all that a training predicts for an image, so that intervals and differences are
those of `spread` and `paired`: an image is drawn with all its predictions. The energy of heat-maps
on the shortcut is such a value too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from imil import metrics
from imil.metrics import Labels, Probs, Values, Weights
from imil.metrics.weights import weighted_mean, weights_or_ones
from imil.predictions import Predictions
from imil.study.statistics.estimates import check_pairs
from imil.study.statistics.measures import Measure

Metric = Callable[[Probs, Labels, Weights | None], Values]
PairedMetric = Callable[[Probs, Probs, Labels, Weights | None], Values]
PARTS = 3  # of a row of probabilities: shortcut for, against, and the image as it is


def side_by_side(with_for: Predictions, against: Predictions, plain: Predictions) -> Predictions:
    """The predictions of one training for the same images, as one value.

    Returns: `probs` (N, 3 K): shortcut for, against, image as it is; each part sums to 1.
    Raises: ShapeError: the images differ.
    """
    check_pairs([with_for, plain], [against, against])
    probs = np.hstack([with_for.probs, against.probs, plain.probs])
    return Predictions(probs, plain.labels, plain.keys)


def energies(energy: Values, keys: Sequence[str]) -> Predictions:
    """The energy of each image's heat-map on the shortcut, as a value that `ENERGY` measures.

    Args:
        energy: (N,), in [0, 1]; NaN where the heat-map is zero everywhere.
        keys: N names.
    """
    return Predictions(energy[:, None], np.zeros(len(keys), np.int64), tuple(keys))


def _mean_energy(probs: Probs, labels: Labels, weights: Weights | None) -> Values:
    """The mean energy over the heat-maps that have any."""
    energy = probs[:, 0]
    known = np.isfinite(energy)
    counted = weights_or_ones(weights, len(labels)) * known
    return weighted_mean(np.where(known, energy, 0.0), counted)


def _both(metric: PairedMetric) -> Metric:
    """The metric of the parts with the shortcut for and against."""

    def value(probs: Probs, labels: Labels, weights: Weights | None) -> Values:
        with_for, against, _ = np.hsplit(probs, PARTS)
        return metric(with_for, against, labels, weights)

    return value


def _part(number: int, metric: Metric) -> Metric:
    """The metric of one part."""

    def value(probs: Probs, labels: Labels, weights: Weights | None) -> Values:
        return metric(np.hsplit(probs, PARTS)[number], labels, weights)

    return value


_ALL = (
    Measure("shift", "Shift", False, _both(metrics.shortcut_shift), minimum=-1.0),
    Measure("flips", "Flips", False, _both(metrics.shortcut_flips), "images"),
    Measure(
        "worst_group", "Worst group's accuracy", True, _both(metrics.worst_group_accuracy), "class"
    ),
    Measure("accuracy_for", "Accuracy for", True, _part(0, metrics.accuracy), "images"),
    Measure("accuracy_against", "Accuracy against", True, _part(1, metrics.accuracy), "images"),
    Measure("auroc_against", "AUROC against", True, _part(1, metrics.auroc), "pairs"),
    Measure("accuracy", "Accuracy", True, _part(2, metrics.accuracy), "images"),
    Measure("auroc", "AUROC", True, _part(2, metrics.auroc), "pairs"),
)
# of predictions that `side_by_side` made
COUNTERFACTUAL_MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
# of `energies`
ENERGY = Measure("energy", "Energy on the shortcut", False, _mean_energy)
SHORTCUT_MEASURES: dict[str, Measure] = COUNTERFACTUAL_MEASURES | {ENERGY.name: ENERGY}
