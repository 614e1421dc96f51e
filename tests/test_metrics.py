"""Metrics against hand-worked cases, written-out definitions, scipy and torchmetrics."""

from __future__ import annotations

import compatible_torchvision  # noqa: F401  # before torchmetrics, which imports torchvision
import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from torchmetrics.functional.classification import (
    multiclass_auroc,
    multiclass_recall,
)
from torchmetrics.functional.classification import multiclass_specificity as multiclass_spec

from imil.errors import ShapeError
from imil.metrics import (
    accuracy,
    adaptive_calibration_error,
    auroc,
    brier_score,
    evaluate,
    expected_calibration_error,
    negative_log_likelihood,
    roc_points,
    sensitivity,
    specificity,
)
from imil.metrics.roc_auc import counts_above

FLOAT32 = 1e-6  # torchmetrics divides in float32
METRICS = [
    accuracy,
    adaptive_calibration_error,
    auroc,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    sensitivity,
    specificity,
]


def of_class_1(*probs):
    """Probabilities (N, 2) of two classes from those of class 1."""
    return np.array([(1 - p, p) for p in probs], np.float64)


def random_case(classes, n=200, seed=0, digits=None):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), n)
    if digits is not None:  # coarse: with ties
        probs = np.round(probs, digits)
        probs /= probs.sum(axis=1, keepdims=True)
    return probs, np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])


def ece_as_guo_writes_it(probs, labels, bins=15):
    """Equations 2 and 3 of Guo et al. 2017, sample by sample: bin m is ((m-1)/M, m/M]."""
    held = {}
    for row, label in zip(probs, labels, strict=True):
        m = next(m for m in range(1, bins + 1) if row.max() <= m / bins)
        held.setdefault(m, []).append((float(row.argmax() == label), row.max()))
    return sum(
        len(b) / len(labels) * abs(np.mean([a for a, _ in b]) - np.mean([c for _, c in b]))
        for b in held.values()
    )


def test_evaluate_gives_every_number_of_a_case_worked_by_hand():
    values = evaluate(of_class_1(0.9, 0.8, 0.3, 0.4), np.array([1, 0, 0, 1]))
    assert values == pytest.approx(
        {
            "accuracy": 2 / 4,  # 0.9 and 0.3 are right
            "auroc": 3 / 4,  # of 4 pairs only 0.4 against 0.8 is the wrong way round
            # four bins of one sample each: confidence 0.9, 0.8, 0.7, 0.6
            "ece": (0.1 + 0.8 + 0.3 + 0.6) / 4,
            "brier": (0.01 + 0.64 + 0.09 + 0.36) / 4,
            "nll": -(np.log(0.9) + np.log(0.2) + np.log(0.7) + np.log(0.4)) / 4,
        }
    )


def test_perfect_predictions_score_perfectly():
    values = evaluate(of_class_1(0, 1, 1), np.array([0, 1, 1]))
    assert values == {"accuracy": 1, "auroc": 1, "ece": 0, "brier": 0, "nll": 0}


def test_certain_and_always_wrong_is_the_worst():
    values = evaluate(of_class_1(0, 1), np.array([1, 0]))
    assert values["accuracy"] == values["auroc"] == 0
    assert values["ece"] == values["brier"] == 1
    assert values["nll"] == pytest.approx(52 * np.log(2))  # float64's epsilon is 2 to the -52


@pytest.mark.parametrize("digits", [None, 1])
def test_auroc_of_two_classes_is_the_mann_whitney_statistic_ties_included(digits):
    probs, labels = random_case(2, digits=digits)
    scores = probs[:, 1]
    u = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    expected = u / ((labels == 1).sum() * (labels == 0).sum())
    assert auroc(probs, labels) == pytest.approx(expected, abs=1e-12)


def test_auroc_of_three_classes_is_the_mean_of_each_against_the_rest():
    probs, labels = random_case(3, digits=1)
    areas = []
    for k in range(3):
        positives, rest = probs[labels == k, k], probs[labels != k, k]
        areas.append(np.mean((positives[:, None] > rest) + 0.5 * (positives[:, None] == rest)))
    assert auroc(probs, labels) == pytest.approx(np.mean(areas), abs=1e-12)


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_auroc_is_that_of_torchmetrics(classes, digits):
    probs, labels = random_case(classes, digits=digits)
    areas = multiclass_auroc(
        torch.tensor(probs), torch.tensor(labels), num_classes=classes, average=None
    )
    expected = areas[1] if classes == 2 else areas.mean()
    assert auroc(probs, labels) == pytest.approx(float(expected), abs=FLOAT32)


@pytest.mark.parametrize("classes", [2, 3])
def test_sensitivity_and_specificity_are_those_of_torchmetrics(classes):
    probs, labels = random_case(classes)
    average = "none" if classes == 2 else "macro"
    for metric, reference in ((sensitivity, multiclass_recall), (specificity, multiclass_spec)):
        expected = reference(torch.tensor(probs), torch.tensor(labels), classes, average=average)
        expected = expected[1] if classes == 2 else expected
        assert metric(probs, labels) == pytest.approx(float(expected), abs=FLOAT32)


@pytest.mark.parametrize("digits", [None, 1])
def test_the_area_under_the_roc_points_is_the_auroc(digits):
    probs, labels = random_case(2, digits=digits)
    fpr, tpr = roc_points(probs[:, 1], labels == 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(float(auroc(probs, labels)), abs=1e-12)


def test_counts_above_are_the_weights_of_higher_scores_and_half_of_ties():
    scores, counted = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, True, False, True])
    weights = np.array([[1.0, 1, 1, 1], [0, 4, 0, 3]])
    assert counts_above(scores, counted, ~counted, weights).tolist() == [[2, 1.5], [7, 5]]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_sample_of_weight_two_counts_as_two_samples(metric, classes):
    probs, labels = random_case(classes, n=40, digits=2)
    counts = np.random.default_rng(1).integers(0, 4, (5, 40))
    values = metric(probs, labels, counts.astype(np.float64))
    assert values.shape == (5,)
    for row, value in zip(counts, values, strict=True):
        repeated = np.repeat(np.arange(40), row)
        assert value == pytest.approx(float(metric(probs[repeated], labels[repeated])))
        assert value == pytest.approx(float(metric(probs, labels, row.astype(np.float64))))


@pytest.mark.parametrize("metric", METRICS)
def test_scaling_all_weights_changes_nothing(metric):
    probs, labels = random_case(3)
    weights = np.random.default_rng(0).random(len(labels))
    scaled = float(metric(probs, labels, 4 * weights))
    assert scaled == pytest.approx(float(metric(probs, labels, weights)))


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_weights_that_are_all_zero_is_nan(metric):
    probs, labels = random_case(3, n=9)
    assert np.isnan(metric(probs, labels, np.zeros((2, 9)))).all()


def test_auroc_distinguishes_probabilities_that_are_equal_in_float32():
    assert auroc(of_class_1(0.5, 0.5 + 1e-10), np.array([0, 1])) == 1


def test_auroc_is_none_where_a_class_has_no_sample():
    assert evaluate(of_class_1(0.2, 0.7), np.array([1, 1]))["auroc"] is None
    probs, _ = random_case(3, n=3)
    assert evaluate(probs, np.array([0, 1, 0]))["auroc"] is None


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_ece_follows_the_definition_of_guo(classes):
    probs, labels = random_case(classes, seed=classes)
    expected = ece_as_guo_writes_it(probs, labels)
    assert expected_calibration_error(probs, labels) == pytest.approx(expected, abs=1e-12)


def test_a_confidence_on_a_border_lies_in_the_bin_below():
    probs = of_class_1(0.6, 0.57)  # 9/15, and 8/15 < 0.57: one bin
    assert expected_calibration_error(probs, np.array([1, 0])) == pytest.approx(0.585 - 0.5)


def test_confidence_1_lies_in_the_last_bin_with_the_others():
    probs = of_class_1(1.0, 0.98)
    assert expected_calibration_error(probs, np.array([0, 1])) == pytest.approx(0.99 - 0.5)


def test_confidence_slightly_above_1_is_accepted():
    probs = np.array([[1 + 1e-12, -1e-12], [0.1, 0.9]])
    values = evaluate(probs, np.array([0, 1]))
    assert values["ece"] == pytest.approx(0.1 / 2)
    assert values["auroc"] == 1


def test_a_calibrated_coin_has_no_calibration_error():
    assert (
        expected_calibration_error(of_class_1(0.75, 0.75, 0.75, 0.75), np.array([1, 1, 1, 0])) == 0
    )


def test_brier_of_three_classes_is_summed_over_them():
    probs = np.array([[0.5, 0.3, 0.2]])
    assert brier_score(probs, np.array([1])) == pytest.approx(0.25 + 0.49 + 0.04)


def test_brier_of_two_classes_is_that_of_class_1():
    probs, labels = random_case(2)
    assert brier_score(probs, labels) == pytest.approx(np.mean((probs[:, 1] - labels) ** 2))


def test_nll_is_the_cross_entropy_of_torch():
    probs, labels = random_case(4)
    expected = torch.nn.functional.nll_loss(torch.tensor(probs).log(), torch.tensor(labels)).item()
    assert negative_log_likelihood(probs, labels) == pytest.approx(expected)


def test_accuracy_of_a_tie_counts_the_first_class_as_a_round_does():
    assert accuracy(of_class_1(0.5, 0.5), np.array([0, 1])) == 0.5


@pytest.mark.parametrize(
    ("probs", "labels", "says"),
    [
        (of_class_1(0.5), [0, 1], "do not fit"),
        (np.ones((2, 1)), [0, 0], "do not fit"),
        (np.empty((0, 2)), [], "do not fit"),
        (of_class_1(0.5), [2], "labels run from 2 to 2"),
        (of_class_1(0.5), [-1], "labels run from -1"),
        (np.array([[3.0, -2.0]]), [0], "softmax"),
        (np.array([[0.5, 0.4]]), [0], "softmax"),
        (np.array([[np.nan, 0.5]]), [0], "not a number"),
    ],
)
def test_arrays_that_are_not_predictions_are_refused_in_one_sentence(probs, labels, says):
    with pytest.raises(ShapeError, match=says):
        evaluate(probs, np.array(labels, np.int64))
