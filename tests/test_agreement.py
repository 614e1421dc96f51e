"""Agreement of readers: against statsmodels, published examples and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from imil.agreement import agreement
from imil.agreement_coefficients import (
    cohen_kappa,
    fleiss_kappa,
    jaccard,
    krippendorff_alpha,
)
from imil.cases import Reading
from imil.errors import ShapeError, SquareError
from imil.grid import Grid

GRID = Grid(2, 2)


def focus(reader, case, *squares):
    return Reading(case, reader, "focus", squares)


# Fleiss's kappa


def test_fleiss_kappa_of_the_example_in_fleiss_1971_as_usually_printed():
    """Ten subjects, fourteen raters, five categories: 0.210."""
    votes = np.array(
        [
            *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0]),
            *([2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2]),
            *([6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
        ]
    )
    assert fleiss_kappa(votes) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize(("readers", "categories"), [(2, 2), (3, 2), (5, 4)])
def test_fleiss_kappa_is_that_of_statsmodels(readers, categories):
    rng = np.random.default_rng(readers)
    votes = rng.multinomial(readers, np.ones(categories) / categories, 50)
    assert fleiss_kappa(votes) == pytest.approx(inter_rater.fleiss_kappa(votes))


def test_fleiss_kappa_needs_as_many_readers_everywhere():
    with pytest.raises(ShapeError, match="between 2 and 3 readers"):
        fleiss_kappa(np.array([[1, 1], [2, 1]]))


@pytest.mark.parametrize("votes", [[[0, 3], [0, 3]], [[1, 0], [0, 1]], np.empty((0, 2), int)])
def test_fleiss_kappa_of_one_answer_one_reader_or_nothing_is_none(votes):
    assert fleiss_kappa(np.asarray(votes)) is None


# Cohen's kappa


@pytest.mark.parametrize(
    ("table", "published"),
    [([[20, 5], [10, 15]], 0.4), ([[45, 15], [25, 15]], 0.1304), ([[25, 35], [5, 35]], 0.2593)],
)
def test_cohen_kappa_of_tables_as_usually_printed(table, published):
    one = np.repeat([0, 0, 1, 1], np.ravel(table))
    other = np.repeat([0, 1, 0, 1], np.ravel(table))
    assert cohen_kappa(one, other) == pytest.approx(published, abs=5e-5)
    assert cohen_kappa(one, other) == pytest.approx(
        inter_rater.cohens_kappa(np.array(table), return_results=False)
    )


def test_cohen_kappa_of_one_answer_or_nothing_is_none():
    assert cohen_kappa(np.array([1, 1]), np.array([1, 1])) is None
    assert cohen_kappa(np.array([], int), np.array([], int)) is None


def test_cohen_kappa_of_different_lengths_is_refused():
    with pytest.raises(ShapeError, match="1 and 2"):
        cohen_kappa(np.array([1]), np.array([1, 0]))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(2, 5))
def test_kappa_of_identical_readings_is_1(answers, readers):
    assume(len(set(answers)) > 1)
    given_ = np.array(answers)
    assert cohen_kappa(given_, given_) == pytest.approx(1)
    assert fleiss_kappa(readers * np.eye(4, dtype=int)[given_]) == pytest.approx(1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_kappa_and_jaccard_do_not_care_who_is_first(answers):
    one, other = np.array(answers).T
    assert cohen_kappa(one, other) == pytest.approx(cohen_kappa(other, one))
    assert jaccard(one, other) == jaccard(other, one)


def test_jaccard_of_nothing_selected_is_none():
    assert jaccard(np.zeros(4, bool), np.zeros(4, bool)) is None
    assert jaccard(np.ones(4, bool), np.zeros(4, bool)) == 0


# readings


def test_agreement_of_two_readers_worked_by_hand():
    """Case a: {1, 2} and {2, 3}; case b: {4} and {4}.

    Of 8 squares both selected 2, one of them 1 each, neither 4: agreed 6/8. Each selected 3 of 8:
    by chance (9 + 25)/64, so kappa is (6/8 - 34/64) / (1 - 34/64) = 14/30. Both select as often,
    so Fleiss's is the same. Square 1: agreed on half; selected once in 4, by chance 10/16.
    """
    result = agreement(
        [focus("A", "a", 1, 2), focus("A", "b", 4), focus("B", "a", 2, 3), focus("B", "b", 4)], GRID
    )
    assert (result.readers, result.cases) == (("A", "B"), 2)
    assert result.kappa == pytest.approx(14 / 30)
    (pair,) = result.pairs
    assert (pair.readers, pair.cases) == (("A", "B"), 2)
    assert pair.kappa == pytest.approx(14 / 30)
    assert pair.jaccard == pytest.approx((1 / 3 + 1) / 2)
    assert result.jaccard == {"a": pytest.approx(1 / 3), "b": 1}
    assert result.of_squares == (pytest.approx(-1 / 3), 1, pytest.approx(-1 / 3), 1)
    assert result.same_verdict == 1


def test_agreement_per_square_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    chosen = rng.random((3, 20, 4)) < 0.4
    chosen[..., 3] |= ~chosen.any(axis=2)  # focus needs a square
    result = agreement(
        [
            focus(f"reader {r}", f"case {c}", *(np.flatnonzero(chosen[r, c]) + 1))
            for r in range(3)
            for c in range(20)
        ],
        GRID,
    )
    for square in range(4):
        votes, _ = inter_rater.aggregate_raters(chosen[:, :, square].T.astype(int), 2)
        assert result.of_squares[square] == pytest.approx(inter_rater.fleiss_kappa(votes))
    votes, _ = inter_rater.aggregate_raters(chosen.reshape(3, -1).T.astype(int), 2)
    assert result.kappa == pytest.approx(inter_rater.fleiss_kappa(votes))
    table = inter_rater.to_table(chosen[:2].reshape(2, -1).T.astype(int), 2)[0]
    expected = inter_rater.cohens_kappa(table, return_results=False)
    assert result.pairs[0].kappa == pytest.approx(expected)
    assert len(result.pairs) == 3


def test_a_square_that_everybody_always_or_never_selects_has_no_kappa():
    result = agreement([focus(reader, case, 1) for reader in "AB" for case in "ab"], GRID)
    assert result.of_squares == (None, None, None, None)
    assert result.kappa == 1


def test_cases_that_a_reader_skipped_do_not_count_for_squares():
    result = agreement(
        [
            *(focus("A", "a", 1), focus("A", "b", 1), focus("A", "c", 1)),
            *(focus("B", "a", 1), Reading("b", "B", "skip"), focus("B", "c", 2)),
            *(focus("C", "a", 1), focus("C", "b", 2)),
        ],
        GRID,
    )
    assert result.cases == 1
    assert [pair.cases for pair in result.pairs] == [2, 2, 1]
    assert result.jaccard == {"a": 1, "b": 0, "c": 0}
    assert result.same_verdict == pytest.approx(2 / 3)
    assert result.verdicts["B"] == {
        "focus": pytest.approx(2 / 3),
        "skip": pytest.approx(1 / 3),
        "wrong label": 0,
        "not assessable": 0,
    }


def test_of_a_changed_answer_the_last_counts():
    result = agreement(
        [focus("A", "a", 1), focus("B", "a", 2), focus("A", "a", 2), Reading("b", "A", "skip")],
        GRID,
    )
    assert result.jaccard == {"a": 1, "b": None}
    assert result.verdicts["A"]["skip"] == 0.5


def test_one_reader_agrees_with_nobody():
    result = agreement([focus("A", "a", 1)], GRID)
    assert (result.kappa, result.pairs, result.same_verdict) == (None, (), None)
    assert result.of_squares == (None,) * 4
    assert result.jaccard == {"a": None}


def test_readers_who_share_no_case_have_no_agreement():
    result = agreement([focus("A", "a", 1), focus("B", "b", 1)], GRID)
    assert (result.cases, result.kappa) == (0, None)
    assert (result.pairs[0].kappa, result.pairs[0].jaccard) == (None, None)


def test_agreement_is_undefined_without_readings():
    assert agreement([], GRID).readers == ()
    assert agreement([], GRID).kappa is None


def test_a_square_outside_the_grid_is_refused():
    with pytest.raises(SquareError, match="outside"):
        agreement([focus("A", "a", 5)], GRID)


# --- Krippendorff's alpha -------------------------------------------------------------------

NONE = np.nan


@pytest.mark.parametrize(
    ("codes", "alpha"),
    [
        # Krippendorff 2011, section A: binary data, two observers, none missing
        ([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], 0.095),
        # section B: nominal data, two observers, none missing
        (
            [[1, 1, 2, 2, 4, 3, 3, 3, 5, 4, 4, 1], [2, 1, 2, 2, 2, 3, 3, 3, 5, 4, 4, 4]],
            0.692,
        ),
        # section C: nominal data, four observers, missing data
        (
            [
                [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
                [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
                [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
                [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
            ],
            0.743,
        ),
    ],
)
def test_alpha_is_that_of_the_published_examples(codes, alpha):
    assert krippendorff_alpha(np.array(codes, float)) == pytest.approx(alpha, abs=5e-4)


def test_alpha_is_not_defined_without_a_pair_or_without_a_difference():
    assert krippendorff_alpha(np.array([[1.0, 0, NONE], [NONE, NONE, 1]])) is None
    assert krippendorff_alpha(np.ones((2, 3))) is None


def test_alpha_counts_cases_that_only_some_readers_answered():
    readings = [
        Reading("a", "Lee", "focus", (1,)),
        Reading("a", "Wu", "focus", (1,)),
        Reading("b", "Wu", "focus", (2,)),
        Reading("b", "Kim", "focus", (2,)),
    ]
    found = agreement(readings, Grid(1, 2))
    assert found.alpha == 1
    assert found.kappa is None, "no case was answered by all three"
    wu = {one.reader: one for one in found.of_readers}["Wu"]
    assert (wu.cases, wu.kappa, wu.jaccard) == (2, 1, 1)
