"""Measures, means and differences of a study, against other implementations and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from imil.errors import ShapeError
from imil.metrics import evaluate
from imil.predictions import Predictions
from imil.study.statistics import MEASURES, paired, spread
from imil.study.statistics.resamples import images_of, resampled
from imil.study.statistics.standard_error import StandardError, standard_error
from imil.study.statistics.wilson import wilson


def case(classes=2, n=120, seed=0, digits=None):
    """Random probabilities and labels; with few digits they have ties."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), n)
    if digits is not None:
        probs = np.round(probs, digits)
        probs /= probs.sum(axis=1, keepdims=True)
    return probs, np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])


def unit(probs, labels, keys=None):
    names = keys if keys is not None else [f"image {i}" for i in range(len(labels))]
    return Predictions(np.asarray(probs, np.float64), np.asarray(labels, np.int64), tuple(names))


def of_class_1(*probs):
    return np.array([(1 - p, p) for p in probs])


def right_or_wrong(right, labels=None):
    """A unit that is right where `right` is 1, with the same confidence everywhere."""
    labels = np.arange(len(right)) % 2 if labels is None else np.asarray(labels)
    called = np.where(np.asarray(right, bool), labels, 1 - labels)
    return unit(of_class_1(*np.where(called == 1, 0.9, 0.1)), labels)


# measures


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("name", ["accuracy", "auroc", "ece", "brier", "nll"])
def test_tables_have_the_values_of_metrics_json(name, classes):
    for digits in (None, 1):
        probs, labels = case(classes, digits=digits)
        assert MEASURES[name].value(probs, labels) == evaluate(probs, labels)[name]


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("classes", [2, 3])
def test_an_image_drawn_twice_counts_as_two_images(name, classes):
    probs, labels = case(classes, n=40, digits=2)
    counts = np.random.default_rng(1).integers(0, 4, (5, 40)).astype(np.float64)
    drawn = MEASURES[name].metric(probs, labels, counts)
    for row, value in zip(counts.astype(int), drawn, strict=True):
        repeated = np.repeat(np.arange(40), row)
        assert value == pytest.approx(MEASURES[name].value(probs[repeated], labels[repeated]))


@pytest.mark.parametrize("name", MEASURES)
def test_perfect_predictions_score_perfectly(name):
    value = MEASURES[name].value(of_class_1(0, 1, 1), np.array([0, 1, 1]))
    assert value == pytest.approx(float(MEASURES[name].higher_is_better), abs=1e-12)


def test_sensitivity_and_specificity_of_two_classes_are_those_of_class_1():
    probs = of_class_1(0.9, 0.2, 0.7, 0.1, 0.4)
    labels = np.array([1, 1, 1, 0, 0])
    assert MEASURES["sensitivity"].value(probs, labels) == pytest.approx(2 / 3)
    assert MEASURES["specificity"].value(probs, labels) == 1


def test_of_three_classes_they_are_the_mean_of_each_against_the_rest():
    probs = np.eye(3)[[0, 0, 1, 2, 2, 0]]
    labels = np.array([0, 1, 1, 2, 2, 2])
    assert MEASURES["sensitivity"].value(probs, labels) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert MEASURES["specificity"].value(probs, labels) == pytest.approx((3 / 5 + 1 + 1) / 3)


def test_adaptive_ece_of_bins_that_are_full_is_the_mean_gap_of_equal_groups():
    probs, labels = case(2, n=150)
    confidence = probs.max(axis=1)
    order = np.argsort(confidence)
    gaps = ((probs.argmax(axis=1) == labels) - confidence)[order].reshape(15, 10)
    expected = np.abs(gaps.mean(axis=1)).mean()
    assert MEASURES["adaptive_ece"].value(probs, labels) == pytest.approx(expected)


def test_adaptive_ece_splits_an_image_on_a_border():
    # 3 images in 15 bins: each fills 5 of them, so every image is a group of its own
    probs, labels = of_class_1(0.6, 0.7, 0.9), np.array([1, 0, 1])
    assert MEASURES["adaptive_ece"].value(probs, labels) == pytest.approx((0.4 + 0.7 + 0.1) / 3)


def test_adaptive_ece_of_equal_confidences_does_not_depend_on_their_order():
    probs, labels = of_class_1(*[0.75] * 40), np.array([1, 1, 1, 0] * 10)
    assert MEASURES["adaptive_ece"].value(probs, labels) == pytest.approx(0, abs=1e-12)
    assert MEASURES["adaptive_ece"].value(probs, np.sort(labels)) == pytest.approx(0, abs=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40),
    st.sampled_from([lambda x: x**3, np.exp, lambda x: x / (1 + x), np.sqrt]),
)
def test_auroc_depends_on_the_order_of_scores_only(rows, monotone):
    scores = np.array([score for score, _ in rows], np.float64)
    labels = np.array([int(positive) for _, positive in rows])

    def auroc(of):
        return MEASURES["auroc"].value(np.stack([-of, of], axis=1), labels)

    assert auroc(scores) == pytest.approx(auroc(monotone(scores)), nan_ok=True)
    if 0 < labels.sum() < len(labels):
        assert auroc(scores) + auroc(-scores) == pytest.approx(1)


@pytest.mark.parametrize("name", ["auroc", "sensitivity", "specificity"])
def test_a_measure_that_needs_every_class_is_nan_without_one(name):
    labels = np.array([0, 0]) if name != "specificity" else np.array([1, 1])
    assert math.isnan(MEASURES[name].value(of_class_1(0.1, 0.2), labels))


# resamples


def test_resamples_draw_within_classes_and_equally_in_every_unit():
    probs, labels = case(2, n=30)
    images = images_of([unit(probs, labels)] * 2)
    (counts,) = images.counts(50, np.random.default_rng(0))
    for k in (0, 1):
        assert (counts[:, labels == k].sum(axis=1) == (labels == k).sum()).all()
    drawn = resampled([unit(probs, labels)] * 2, MEASURES["nll"], images, seed=0, resamples=50)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert len(set(drawn[:, 0])) == 50


def test_images_of_a_patient_are_drawn_together():
    probs, labels = case(2, n=6)
    patients = {"image 0": "A", "image 3": "A", "image 5": ""}
    (counts,) = images_of([unit(probs, labels)], patients).counts(50, np.random.default_rng(0))
    assert (counts[:, 0] == counts[:, 3]).all()
    assert not (counts[:, 4] == counts[:, 5]).all()


def test_resamples_in_parts_have_the_requested_number(monkeypatch):
    monkeypatch.setattr("imil.study.statistics.resamples.MAX_COUNTS", 100)
    probs, labels = case(2, n=30)
    units = [unit(probs, labels)]
    drawn = resampled(units, MEASURES["accuracy"], images_of(units), seed=0, resamples=50)
    assert drawn.shape == (50, 1)
    error = drawn.std() / np.sqrt(0.25 / 30)  # the accuracy of noise is about one half
    assert 0.7 < error < 1.3


# the standard error


def luck_of(error, draws=500):
    """Resamples (draws, 1) with that standard deviation."""
    drawn = np.random.default_rng(0).standard_normal((draws, 1))
    return drawn * error / drawn.std(ddof=1)


def test_with_one_unit_the_error_is_that_of_the_images():
    rng = np.random.default_rng(0)
    right = rng.random(200) < 0.8
    result = paired([right_or_wrong(right)], [right_or_wrong(np.ones(200))], "accuracy", seed=0)
    assert result.value == pytest.approx(right.mean() - 1)
    assert result.standard_error.error == pytest.approx(
        np.sqrt(right.mean() * (1 - right.mean()) / 200), rel=0.1
    )
    assert result.standard_error.df == 198


def test_without_variance_of_images_the_interval_is_that_of_a_t_test():
    """Without any luck of images the interval is Student's of the units, for three 4.30 errors."""
    values = np.array([0.01, 0.03, 0.08])
    result = standard_error(values, np.full((200, 3), 0.5), np.arange(3), 100, 2)
    error = values.std(ddof=1) / np.sqrt(3)
    assert result.error == pytest.approx(error)
    assert result.half_width() == pytest.approx(student.ppf(0.975, 2) * error)


def test_images_that_all_units_share_do_not_average_out():
    """The error of the images is that of one unit, however many units there are."""
    rng = np.random.default_rng(0)
    of_images = rng.normal(0, 0.03, (2000, 1))
    alike = standard_error(np.full(50, 0.1), np.repeat(of_images, 50, 1), np.arange(50), 10**6, 2)
    assert alike.error == pytest.approx(0.03, rel=0.1)
    apart = standard_error(
        rng.normal(0.1, 0.03, 50), rng.normal(0, 0.03, (2000, 50)), np.arange(50), 10**6, 2
    )
    assert apart.error == pytest.approx(0.03 / np.sqrt(50), rel=0.3)


def test_seeds_of_a_split_are_one_unit_of_several_splits():
    values = np.array([0.0, 0.0, 0.1, 0.1, 0.2, 0.2])
    draws = np.full((200, 6), 0.5)
    result = standard_error(values, draws, np.array([0, 0, 1, 1, 2, 2]), 100, 2)
    assert result.error == pytest.approx(0.1 / np.sqrt(3))
    assert result.df == pytest.approx(2)


def test_half_of_the_variance_of_images_is_taken_off_that_between_units():
    luck = luck_of(0.1) * np.array([-1, 0, 1])  # between units 0.01, and nothing to their mean
    result = standard_error(np.array([-0.1, 0, 0.1]), luck, np.arange(3), 10**9, 2)
    assert result.error == pytest.approx(np.sqrt((0.01 - 0.01 / 2) / 3))
    assert result.df == pytest.approx(2)


def test_variance_between_units_counts_twice_in_the_degrees_of_freedom():
    luck = luck_of(np.sqrt(0.02 / 3)).repeat(3, 1)  # twice what units differ by: 0.01 / 3
    result = standard_error(np.array([-0.1, 0, 0.1]), luck, np.arange(3), 10**9, 2)
    assert result.error == pytest.approx(0.1)
    assert result.df == pytest.approx(8)  # share: 2·0.01 / (0.02 + 2·0.01); 2 / (1/2)²


def test_the_variance_of_resamples_of_few_images_is_corrected():
    result = standard_error(np.zeros(1), luck_of(0.1), np.zeros(1, np.intp), 4, 2)
    assert result.error == pytest.approx(0.1 * np.sqrt(2))  # 4 of 2 classes: 2 of 4 are free
    assert result.df == 2


@given(
    st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=6),
    st.floats(0, 0.1),
    st.integers(0, 3),
    st.integers(3, 200),
)
def test_an_interval_is_never_narrower_than_that_of_other_images_alone(values, own, seed, n):
    rng = np.random.default_rng(seed)
    draws = rng.normal(0, 0.05, (200, 1)) + rng.normal(0, own, (200, len(values)))
    result = standard_error(np.array(values), draws, np.arange(len(values)), n, 2)
    mean = draws.mean(axis=1, keepdims=True)
    alone = standard_error(np.zeros(1), mean, np.zeros(1, np.intp), n, 2)
    assert result.error >= alone.error * (1 - 1e-9)  # but for rounding
    assert result.half_width() >= alone.half_width() * (1 - 1e-9)


def test_seeds_that_agree_by_chance_do_not_give_an_interval_of_zero_width():
    rng = np.random.default_rng(0)
    base = right_or_wrong(np.ones(100))
    arms = []
    for _ in range(3):  # each is wrong about another five images
        right = np.ones(100)
        right[rng.choice(100, 5, replace=False)] = 0
        arms.append(right_or_wrong(right))
    result = paired(arms, [base] * 3, "accuracy", seed=0)
    assert result.value == pytest.approx(-0.05)
    images_alone = 2 * 1.98 * np.sqrt(0.05 * 0.95 / 300)
    assert result.high - result.low == pytest.approx(images_alone, rel=0.1)


def test_arms_that_are_correct_on_the_same_images_have_an_interval():
    same = right_or_wrong([1, 1, 0, 1] * 10)
    result = paired([same], [same], "accuracy", seed=0)
    assert result.value == 0
    assert result.high == pytest.approx(2 * np.sqrt(2) / 40, rel=0.05)  # two images
    assert not result.excludes_zero


def test_too_few_images_have_no_interval():
    result = paired([right_or_wrong([1, 1])], [right_or_wrong([1, 0])], "accuracy", seed=0)
    assert result.value == 0.5
    assert math.isnan(result.low)
    assert not result.excludes_zero


# means and differences


def test_a_large_difference_is_shown_and_an_equal_arm_is_not():
    rng = np.random.default_rng(0)
    base = [right_or_wrong(rng.random(132) < 0.6) for _ in range(4)]
    better = [right_or_wrong(rng.random(132) < 0.95) for _ in range(4)]
    equal = [right_or_wrong(rng.random(132) < 0.6) for _ in range(4)]
    assert paired(better, base, "accuracy", seed=0).low > 0.2
    assert paired(base, better, "accuracy", seed=0).high < -0.2
    assert not paired(equal, base, "accuracy", seed=0).excludes_zero


def test_a_difference_is_the_mean_of_the_differences_and_is_antisymmetric():
    arm = [unit(*case(3, seed=1)), unit(*case(3, seed=1))]
    base = [unit(case(3, seed=2)[0], arm[0].labels), unit(case(3, seed=3)[0], arm[0].labels)]
    for name, measure in MEASURES.items():
        result, back = paired(arm, base, name, seed=5), paired(base, arm, name, seed=5)
        each = [
            measure.value(a.probs, a.labels) - measure.value(b.probs, b.labels)
            for a, b in zip(arm, base, strict=True)
        ]
        assert result.value == pytest.approx(np.mean(each))
        assert (back.low, back.high) == pytest.approx((-result.high, -result.low))
        assert result.low < result.value < result.high


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly():
    units = [unit(*case(seed=1)), unit(case(seed=2)[0], case(seed=1)[1])]
    first, again, other = (spread(units, "nll", seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.interval != other.interval
    assert first.interval.low == pytest.approx(other.interval.low, rel=0.1)


def test_a_spread_is_mean_and_standard_deviation_of_the_units():
    units = [right_or_wrong(right) for right in ([1] * 30 + [0] * 10, [1] * 36 + [0] * 4)]
    result = spread(units, "accuracy", seed=0)
    assert result.mean == pytest.approx((0.75 + 0.9) / 2)
    assert result.sd == pytest.approx(0.15 / np.sqrt(2))
    assert result.units == 2
    assert 0 <= result.interval.low < result.mean < result.interval.high <= 1


def test_of_one_unit_there_is_no_standard_deviation_but_an_interval_over_images():
    result = spread([right_or_wrong([1] * 30 + [0] * 10)], "accuracy", seed=0)
    assert math.isnan(result.sd)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.59, 0.86), abs=0.02)


def test_a_measure_of_a_group_without_a_class_is_nan():
    one = unit(of_class_1(0.2, 0.3, 0.9), [0, 0, 0])
    result = spread([one, one], "auroc", seed=0)
    assert math.isnan(result.mean)
    assert math.isnan(result.interval.low)
    assert result.units == 0
    assert math.isnan(paired([one], [one], "auroc", seed=0).value)


def test_units_without_the_measure_are_left_out():
    there, without = unit(*case(n=30)), unit(of_class_1(*[0.2] * 5), [0] * 5)
    result = spread([there, without], "auroc", seed=0)
    assert result.units == 1
    assert result.mean == MEASURES["auroc"].value(there.probs, there.labels)


@pytest.mark.parametrize("gone", range(4))
def test_a_split_without_the_measure_changes_nothing_about_the_others(gone):
    units = [unit(*case(n=60, seed=i), [f"{i}-{k}" for k in range(60)]) for i in range(4)]
    better = [unit(*case(n=60, seed=i + 9), units[i].keys) for i in range(4)]
    better = [unit(b.probs, a.labels, a.keys) for a, b in zip(units, better, strict=True)]
    one_class = unit(units[gone].probs, np.zeros(60), units[gone].keys)
    holed = [*units[:gone], one_class, *units[gone + 1 :]]
    rest = [i for i in range(4) if i != gone]
    few, many = (
        spread(one, "auroc", seed=0, splits=splits)
        for one, splits in (([units[i] for i in rest], rest), (holed, range(4)))
    )
    assert many == few or (many.interval, many.mean) == (few.interval, few.mean)
    there = [unit(better[gone].probs, np.zeros(60), units[gone].keys)]
    arm = [*better[:gone], *there, *better[gone + 1 :]]
    assert paired(arm, holed, "auroc", seed=0, splits=range(4)) == paired(
        [better[i] for i in rest], [units[i] for i in rest], "auroc", seed=0, splits=rest
    )


def test_several_splits_are_distinguished_by_their_images():
    rng = np.random.default_rng(0)

    def trained(test, share):
        labels = np.arange(60) % 2
        right = rng.random(60) < share
        probs = of_class_1(*np.where(np.where(right, labels, 1 - labels) == 1, 0.9, 0.1))
        return unit(probs, labels, [f"{test} {i}" for i in range(60)])

    units = [trained(test, share) for test, share in (("a", 0.9), ("a", 0.9), ("b", 0.5))]
    told = spread(units, "accuracy", seed=0)
    assert told == spread(units, "accuracy", seed=0, splits=[0, 0, 1])
    assert told != spread(units, "accuracy", seed=0, splits=[0, 0, 0])


@pytest.mark.parametrize(
    ("arm", "base", "says"),
    [
        ([unit(*case())], [], "cannot be paired"),
        ([unit(*case())], [unit(*case(), keys=[f"x{i}" for i in range(120)])], "different images"),
        ([unit(*case())], [unit(case()[0], 1 - case()[1])], "different images"),
    ],
)
def test_predictions_that_are_not_pairs_are_refused(arm, base, says):
    with pytest.raises(ShapeError, match=says):
        paired(arm, base, "accuracy", seed=0)


# Wilson's interval


@pytest.mark.parametrize(("right", "of"), [(81, 263), (15, 148), (0, 20), (29, 29)])
def test_the_interval_of_a_counted_share_is_wilsons(right, of):
    """The four examples of Newcombe 1998, table I (score method)."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (29, 29): (0.8830, 1.0),
    }[right, of]
    share = right / of
    error = StandardError(math.sqrt(share * (1 - share) / of), 1e9)
    assert wilson(share, error, of_images=of, at_most=of) == pytest.approx(published, abs=5e-5)


def test_an_accuracy_of_1_has_an_interval_of_positive_width():
    result = spread([right_or_wrong([1] * 30)], "accuracy", seed=0)
    assert result.interval.high == 1
    assert result.interval.low == pytest.approx(0.88, abs=0.01)
