"""Predictions as one value, checked when it is made."""

import contract
import numpy as np
import pytest

from imil.errors import SettingsError, ShapeError
from imil.predictions import Predictions, check_finite, check_probabilities

PROBS = np.array([[0.6, 0.4], [0.3, 0.7]])


def test_predictions_of_samples_have_their_labels_and_keys():
    samples = contract.make_samples()
    probs = np.full((len(samples), 3), 1 / 3)
    predictions = Predictions.of(samples, probs)
    assert predictions.keys == [samples.key(i) for i in range(len(samples))]
    np.testing.assert_array_equal(predictions.labels, samples.labels)
    assert len(predictions) == len(samples)


def test_the_predicted_class_is_the_first_of_the_highest():
    probs = np.array([[0.2, 0.4, 0.4], [0.5, 0.2, 0.3]])
    assert Predictions(probs, np.array([0, 1]), ["a", "b"]).predicted.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("probs", "labels", "keys"),
    [(PROBS, [0], ["a", "b"]), (PROBS, [0, 1], ["a"]), (PROBS[0], [0, 1], ["a", "b"])],
)
def test_arrays_of_different_lengths_are_refused(probs, labels, keys):
    with pytest.raises(ShapeError, match=r"do not match: expected \(N, K\), N and N"):
        Predictions(probs, np.array(labels), keys)


def test_a_label_without_a_class_is_refused():
    with pytest.raises(ShapeError, match="gives 2 classes, and a label is 2"):
        Predictions(PROBS, np.array([0, 2]), ["a", "b"])


def test_nan_is_named_with_its_sample():
    with pytest.raises(ShapeError, match="'b' is not a number: training has diverged"):
        check_finite(np.array([[0.5, 0.5], [np.nan, np.nan]]), ["a", "b"])


@pytest.mark.parametrize("probs", [np.array([[0.2, 0.3]]), np.array([[-0.5, 1.5]])])
def test_values_that_are_not_probabilities_are_refused(probs):
    with pytest.raises(SettingsError, match="expected probabilities, such as the softmax"):
        check_probabilities(probs)
