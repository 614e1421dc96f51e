"""Out-of-fold predictions of a logistic regression on features."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from imil.out_of_fold import assign_folds, fit_and_predict, out_of_fold_probs

KEYS = [f"k{i:02}" for i in range(60)]


def make_features(classes=2):
    """Two features, of which the first tells the classes apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    return rng.normal(size=(60, 2)) + np.stack([4 * labels, 0 * labels], axis=1), labels


def test_the_probability_of_two_points_is_worked_out_by_hand():
    # by symmetry the weights are -w and w; 2 log(1 + exp(-2w)) + w^2 is least where w = 2 s(-2w)
    weight = brentq(lambda w: w - 2 * expit(-2 * w), 0, 1)
    points = np.array([[3.0], [7.0]])
    probs = fit_and_predict(points, np.array([0, 1]), points, 2)
    np.testing.assert_allclose(probs[:, 1], expit([-2 * weight, 2 * weight]), atol=1e-4)


def test_a_wrong_label_is_a_mistake_out_of_fold():
    features, labels = make_features()
    labels[8] = 1
    probs = out_of_fold_probs(features, labels, KEYS, classes=2)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert probs[8, 0] > 0.7
    assert (probs.argmax(axis=1) == labels).mean() > 0.9


def test_a_prediction_comes_from_the_other_folds_alone():
    features, labels = make_features()
    others = assign_folds(labels, KEYS) != assign_folds(labels, KEYS)[0]
    expected = fit_and_predict(features[others], labels[others], features[:1], 2)
    probs = out_of_fold_probs(features, labels, KEYS, classes=2)
    np.testing.assert_allclose(probs[:1], expected, atol=1e-9)


def test_folds_are_even_in_each_class_and_depend_on_keys_alone():
    labels = np.arange(60) % 2
    folds = assign_folds(labels, KEYS)
    for label in (0, 1):
        assert np.bincount(folds[labels == label]).tolist() == [6] * 5
    np.testing.assert_array_equal(assign_folds(labels[::-1], KEYS[::-1]), folds[::-1])
    assert (assign_folds(labels, KEYS, seed=1) != folds).any()


def test_no_patient_is_in_two_folds():
    labels = np.arange(60) % 2
    patients = [f"p{i // 4}" for i in range(60)]
    folds = assign_folds(labels, KEYS, groups=patients)
    assert all(len({folds[i] for i in range(4 * p, 4 * p + 4)}) == 1 for p in range(15))
    assert set(folds) == set(range(5))


def test_without_a_second_group_nothing_is_known():
    probs = out_of_fold_probs(np.ones((1, 2)), np.array([1]), ["a"], classes=2)
    assert probs.tolist() == [[0.5, 0.5]]
