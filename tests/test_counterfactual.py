"""How far a model follows a shortcut: the metrics, and the share of a gap that is closed."""

import math

import numpy as np
import pytest

from imil.errors import ShapeError
from imil.metrics import accuracy, shortcut_flips, shortcut_shift, worst_group_accuracy
from imil.predictions import Predictions
from imil.study.statistics import COUNTERFACTUAL_MEASURES, gap_closed, paired, side_by_side, spread

LABELS = np.array([0, 0, 1, 1, 1])
FOR = np.array([0.1, 0.4, 0.9, 0.8, 0.45])  # of class 1
AGAINST = np.array([0.7, 0.4, 0.3, 0.6, 0.40])


def probs(of_class_1):
    return np.stack([1 - of_class_1, of_class_1], axis=1)


def test_the_metrics_of_a_case_worked_by_hand():
    both = probs(FOR), probs(AGAINST), LABELS
    # of the true class: 0.9 - 0.3, 0.6 - 0.6, 0.9 - 0.3, 0.8 - 0.6, 0.45 - 0.4
    assert float(shortcut_shift(*both)) == pytest.approx((0.6 + 0 + 0.6 + 0.2 + 0.05) / 5)
    assert float(shortcut_flips(*both)) == pytest.approx(2 / 5)
    # class 0: 2 of 2 for, 1 of 2 against; class 1: 2 of 3 for, 1 of 3 against
    assert float(worst_group_accuracy(*both)) == pytest.approx(1 / 3)


def test_a_model_that_ignores_the_mark_neither_shifts_nor_flips():
    same = probs(FOR), probs(FOR), LABELS
    assert float(shortcut_shift(*same)) == float(shortcut_flips(*same)) == 0
    of_class_1 = probs(FOR)[2:], LABELS[2:]
    assert float(worst_group_accuracy(*same)) == float(accuracy(*of_class_1))


@pytest.mark.parametrize("metric", [shortcut_shift, shortcut_flips, worst_group_accuracy])
def test_an_image_drawn_twice_counts_as_two_images(metric):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    one, other = rng.dirichlet(np.ones(3), 40), rng.dirichlet(np.ones(3), 40)
    counts = rng.integers(0, 3, (20, 40))
    drawn = metric(one, other, labels, counts)
    assert drawn.shape == (20,)
    for value, row in zip(drawn, counts, strict=True):
        rows = np.repeat(np.arange(40), row)
        assert value == pytest.approx(float(metric(one[rows], other[rows], labels[rows])))


def test_the_worst_group_of_a_class_without_an_image_is_nan():
    assert math.isnan(float(worst_group_accuracy(probs(FOR), probs(AGAINST), np.ones(5, int))))


# ------------------------------------------------------------------------------ over trainings

N = 60
KEYS = tuple(map(str, range(N)))
TRUTH = np.arange(N) % 2


def training(share_against, seed):
    """Right on all images with the mark for, and on about this share of those against."""
    rng = np.random.default_rng(seed)
    right = rng.random(N) < share_against

    def of(correct):
        return Predictions(probs(np.where(correct == (TRUTH == 1), 0.9, 0.1)), TRUTH, KEYS)

    always = of(np.ones(N, bool))
    return side_by_side(always, of(right), always)


def trainings(share, first):
    return [training(share, first + i) for i in range(6)]


def test_measures_are_of_the_part_that_they_name():
    one = training(0.25, 0)
    values = {
        name: measure.value(one.probs, one.labels)
        for name, measure in COUNTERFACTUAL_MEASURES.items()
    }
    right = values["accuracy_against"]
    assert 0 < right < 0.5
    assert values["accuracy"] == values["auroc"] == 1
    assert values["flips"] == pytest.approx(1 - right)
    assert values["shift"] == pytest.approx(0.8 * (1 - right))
    assert values["worst_group"] <= right
    shift = spread(trainings(0.25, 0), COUNTERFACTUAL_MEASURES["shift"], seed=0)
    assert shift.interval.low < shift.mean < shift.interval.high


def test_a_difference_of_shift_may_be_negative():
    shift = COUNTERFACTUAL_MEASURES["shift"]
    found = paired(trainings(0.9, 0), trainings(0.1, 0), shift, seed=0)
    assert found.high < 0
    assert found.value == pytest.approx(-0.8 * 0.8, abs=0.1)


def test_parts_of_different_images_are_refused():
    one = training(0.5, 0)
    part = Predictions(one.probs[:, :2], one.labels, one.keys)
    other = Predictions(one.probs[:, :2], one.labels, ("x", *KEYS[1:]))
    with pytest.raises(ShapeError):
        side_by_side(part, part, other)


def test_the_gap_closed_is_the_ratio_of_differences_and_its_interval_holds_it():
    measure = COUNTERFACTUAL_MEASURES["accuracy_against"]
    arm, base, best = trainings(0.6, 10), trainings(0.1, 20), trainings(0.9, 30)
    of = [np.mean([measure.value(t.probs, t.labels) for t in one]) for one in (arm, base, best)]
    found = gap_closed(arm, base, best, measure, seed=0)
    assert found.value == pytest.approx((of[0] - of[1]) / (of[2] - of[1]))
    assert found.low < found.value < found.high
    assert found.low > 0.3
    assert found.high < 0.95


@pytest.mark.parametrize(("same_as", "share"), [(0.1, 0.0), (0.9, 1.0)])
def test_baseline_closes_nothing_and_the_best_arm_all(same_as, share):
    measure = COUNTERFACTUAL_MEASURES["auroc_against"]
    base, best = trainings(0.1, 20), trainings(0.9, 30)
    arm = base if same_as == 0.1 else best
    found = gap_closed(arm, base, best, measure, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((share, share, share))


def test_without_a_gap_nothing_is_said_of_its_share():
    measure = COUNTERFACTUAL_MEASURES["accuracy_against"]
    low, high = trainings(0.5, 20), trainings(0.9, 30)
    assert math.isnan(gap_closed(high, high, low, measure, seed=0).value)
    unclear = gap_closed(high, trainings(0.5, 40), trainings(0.52, 50), measure, seed=0)
    assert math.isnan(unclear.low)
    assert math.isnan(unclear.high)


def test_one_training_has_an_interval_over_images_and_more_vary_by_themselves_too():
    measure = COUNTERFACTUAL_MEASURES["accuracy_against"]
    base, best = trainings(0.1, 20), trainings(0.9, 30)
    unequal = [training(share, 40 + i) for i, share in enumerate((0.2, 0.9, 0.2, 0.9, 0.2, 0.9))]
    alike = trainings(0.55, 60)
    wide, narrow = (gap_closed(arm, base, best, measure, seed=0) for arm in (unequal, alike))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    one = gap_closed(alike[:1], base[:1], best[:1], measure, seed=0)
    assert one.low < one.value < one.high
