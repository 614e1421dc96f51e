"""The paper's choice: confident mistakes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imil.errors import SettingsError, ShapeError
from imil.outliers import choice, confident_mistakes


def test_only_mistakes_are_chosen_most_confident_first():
    # by hand: b is right; a, c, d are wrong with 0.9, 0.6, 0.7
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    labels = np.array([1, 1, 0, 1])
    assert confident_mistakes(probs, labels, list("abcd"), 20) == [0, 3, 2]
    assert confident_mistakes(probs, labels, list("abcd"), 2) == [0, 3]


def test_equal_confidences_are_ordered_by_key_not_by_position():
    probs = np.array([[0.8, 0.2]] * 3)
    assert confident_mistakes(probs, np.array([1, 1, 1]), ["c", "a", "b"], 3) == [1, 2, 0]


def test_three_classes_count_the_predicted_class_alone():
    probs = np.array([[0.4, 0.35, 0.25], [0.1, 0.1, 0.8]])
    assert confident_mistakes(probs, np.array([1, 0]), ["a", "b"], 5) == [1, 0]


def test_no_mistake_gives_no_outlier():
    assert confident_mistakes(np.eye(2), np.array([0, 1]), ["a", "b"], 5) == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 5), st.integers(1, 50))
def test_the_choice_is_mispredicted_sorted_and_indifferent_to_row_order(seed, n, k, most):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(k), n).round(1) + 1e-3  # rounded, so that there are ties
    probs /= probs.sum(axis=1, keepdims=True)
    labels = rng.integers(0, k, n)
    keys = [f"k{i:03}" for i in range(n)]
    chosen = confident_mistakes(probs, labels, keys, most)
    wrong = probs.argmax(axis=1) != labels
    assert len(chosen) == min(most, wrong.sum())
    assert wrong[chosen].all()
    confidence = probs.max(axis=1)[chosen]
    assert (np.diff(confidence) <= 0).all()
    order = rng.permutation(n)
    again = confident_mistakes(probs[order], labels[order], [keys[i] for i in order], most)
    assert [keys[order[i]] for i in again] == [keys[i] for i in chosen]


def test_a_model_that_diverged_is_named_with_the_sample():
    probs = np.array([[0.5, 0.5], [np.nan, np.nan]])
    with pytest.raises(ShapeError, match="'b' is not a number"):
        confident_mistakes(probs, np.array([0, 0]), ["a", "b"], 1)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="do not fit"):
        confident_mistakes(np.eye(2), np.array([0]), ["a", "b"], 1)


def test_an_unknown_choice_names_the_known_ones():
    with pytest.raises(SettingsError, match="confident_mistakes"):
        choice("clever")
