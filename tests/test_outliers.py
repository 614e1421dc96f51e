"""The paper's choice: confident mistakes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imil.choices import choice
from imil.errors import SettingsError, ShapeError
from imil.outliers import confident_mistakes, mistakes


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


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 5), st.integers(1, 7))
def test_choosing_in_chunks_gives_what_sorting_all_gives(seed, n, k, most):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.3), n).round(2) + 1e-3
    probs /= probs.sum(axis=1, keepdims=True)
    labels = rng.integers(0, k, n)
    keys = [f"k{i:03}" for i in rng.permutation(n)]
    wrong = np.flatnonzero(probs.argmax(axis=1) != labels)
    by_hand = sorted(wrong.tolist(), key=lambda i: (-probs[i].max(), keys[i]))[:most]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imil.outliers.CHUNK", 3 * probs[:1].nbytes)
        assert confident_mistakes(probs, labels, keys, most) == by_hand
        assert mistakes(probs, labels, keys).tolist() == wrong.tolist()


def test_ties_are_mistakes_where_an_earlier_class_wins():
    # by hand: right; no majority and second; a tie that an earlier class wins, and one that the
    # true class wins
    rows = [[0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.35, 0.4, 0.25], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2]]
    probs, labels, keys = np.array(rows), np.array([1, 2, 0, 1, 0]), list("01234")
    assert mistakes(probs, labels, keys).tolist() == [1, 2, 3]
    assert confident_mistakes(probs, labels, keys, 9) == [1, 2, 3]


def test_no_case_is_chosen_where_none_is_requested():
    assert confident_mistakes(np.eye(2), np.array([0, 0]), ["a", "b"], 0) == []


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_nan_or_infinity_is_refused_wherever_it_is(odd):
    probs = np.full((20_000, 2), 0.5)
    probs[15_000, 0] = odd
    keys = [str(i) for i in range(20_000)]
    with pytest.raises(ShapeError, match="'15000' is not a number"):
        confident_mistakes(probs, np.zeros(20_000, int), keys, 1)


def test_a_model_that_diverged_is_named_with_the_sample():
    probs = np.array([[0.5, 0.5], [np.nan, np.nan]])
    with pytest.raises(ShapeError, match="'b' is not a number"):
        confident_mistakes(probs, np.array([0, 0]), ["a", "b"], 1)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ShapeError, match="do not match"):
        confident_mistakes(np.eye(2), np.array([0]), ["a", "b"], 1)


def test_an_unknown_choice_names_the_known_ones():
    with pytest.raises(SettingsError, match="confident_mistakes"):
        choice("clever")
