"""McNemar, DeLong, Holm, p-values over units, power and ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import ttest_power

from imil.errors import ShapeError
from imil.predictions import Predictions
from imil.study.statistics import (
    NO_DIFFERENCE,
    combined,
    delong,
    holm,
    mcnemar,
    paired,
    power_sentence,
    ranking,
    smallest_effect,
)
from imil.study.statistics.estimates import Difference
from imil.study.statistics.standard_error import StandardError, VarianceSources

P = st.floats(0, 1)


def unit(probs, labels):
    keys = tuple(f"image {i}" for i in range(len(labels)))
    return Predictions(np.asarray(probs, np.float64), np.asarray(labels, np.int64), keys)


def scored(scores, labels):
    """Two classes, by the probability of class 1."""
    scores = np.asarray(scores, np.float64)
    return unit(np.stack([1 - scores, scores], axis=1), labels)


def right(*runs):
    """A network that is right, wrong, right ... on runs of so many images."""
    is_right = np.concatenate([np.full(n, i % 2 == 0) for i, n in enumerate(runs)])
    return scored(np.where(is_right, 0.9, 0.1), np.ones(len(is_right)))


def two_arms(n=80, seed=0, digits=None, classes=2):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    result = []
    for _ in range(2):
        probs = rng.dirichlet(np.ones(classes), n) + 0.4 * np.eye(classes)[labels]
        probs /= probs.sum(axis=1, keepdims=True)
        if digits is not None:
            probs = np.round(probs, digits)
            probs[:, -1] = 1 - probs[:, :-1].sum(axis=1)
        result.append(unit(probs, labels))
    return result


# McNemar


@pytest.mark.parametrize(("mine", "theirs"), [(1, 9), (9, 1), (0, 3), (5, 5), (12, 30)])
def test_mcnemar_is_the_binomial_test_of_the_images_on_which_one_is_right(mine, theirs):
    arm, base = right(20 + mine, theirs), right(20, mine, theirs)
    both = 2 * binom.cdf(min(mine, theirs), mine + theirs, 0.5)
    assert mcnemar(arm, base) == pytest.approx(min(both, 1))


@pytest.mark.parametrize(("mine", "theirs"), [(1, 9), (5, 5), (30, 12), (0, 0)])
def test_mcnemar_is_that_of_statsmodels(mine, theirs):
    result = mcnemar(right(20 + mine, theirs), right(20, mine, theirs))
    table = [[20, mine], [theirs, 0]]
    assert result == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue)


def test_mcnemar_of_one_against_nine_is_0_021():
    # by hand: 2 · (1 + 10) / 2^10
    assert mcnemar(right(21, 9), right(20, 1, 9)) == pytest.approx(22 / 1024)


def test_mcnemar_of_networks_that_are_right_on_the_same_images_is_1():
    assert mcnemar(right(8, 2), right(8, 2)) == 1


def test_mcnemar_of_other_images_is_refused():
    with pytest.raises(ShapeError, match="different images"):
        mcnemar(right(8, 2), right(8, 3))


# DeLong


def placements(scores, positive):
    """Placement values as DeLong et al. 1988 define them, pair by pair: V10 and V01."""
    mine, rest = scores[positive], scores[~positive]
    won = (mine[:, None] > rest) + 0.5 * (mine[:, None] == rest)
    return won.mean(axis=1), won.mean(axis=0)


def delong_by_definition(arm, base):
    """Difference, standard error and p from the covariance matrices S10 and S01."""
    positive = arm.labels == 1
    of_arm, of_base = (placements(one.probs[:, 1], positive) for one in (arm, base))
    s10, s01 = np.cov(of_arm[0], of_base[0]), np.cov(of_arm[1], of_base[1])
    s = s10 / positive.sum() + s01 / (~positive).sum()
    error = math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    value = of_arm[0].mean() - of_base[0].mean()
    return value, error, 2 * norm.sf(abs(value / error))


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", range(5))
def test_delong_follows_the_definition_ties_included(seed, digits):
    arm, base = two_arms(seed=seed, digits=digits)
    value, error, p = delong_by_definition(arm, base)
    result = delong(arm, base)
    assert result.value == pytest.approx(value)
    assert result.p == pytest.approx(p)
    assert (result.low, result.high) == pytest.approx((value - 1.96 * error, value + 1.96 * error),
                                                    abs=1e-4)  # fmt: skip


def test_delong_of_a_case_worked_by_hand():
    """Positives 3 and 4; negatives 1 and 2. The arm mistakes one of four pairs, the base none.

    V10 of the arm is 1 and 1/2, V01 is 1/2 and 1: both variances are 1/8, and the variance of
    the difference is 1/8/2 + 1/8/2 = 1/8.
    """
    labels = [0, 0, 1, 1]
    result = delong(scored([0.5, 0.1, 0.9, 0.3], labels), scored([0.1, 0.2, 0.3, 0.4], labels))
    assert result.value == -0.25
    assert result.p == pytest.approx(2 * norm.sf(0.25 / math.sqrt(1 / 8)))


def test_delong_of_three_classes_has_the_error_of_the_bootstrap():
    arm, base = two_arms(n=300, classes=3)
    result = delong(arm, base)
    by_bootstrap = paired([arm], [base], "auroc", seed=0, resamples=4000)
    assert result.value == pytest.approx(by_bootstrap.value)
    assert (result.high - result.low) / 3.92 == pytest.approx(
        by_bootstrap.standard_error.error, rel=0.06
    )


def test_delong_of_two_classes_is_the_same_from_either_class():
    arm, base = two_arms()
    turned = [unit(one.probs[:, ::-1], 1 - one.labels) for one in (arm, base)]
    assert delong(*turned).p == pytest.approx(delong(arm, base).p)


def test_delong_of_equal_scores_shows_nothing():
    arm, _ = two_arms()
    same = scored(arm.probs[:, 1] ** 2, arm.labels)  # another scale, the same order
    assert delong(arm, same).p == 1
    assert not delong(arm, same).excludes_zero


def test_delong_is_nan_where_there_is_no_spread_or_a_class_is_too_small():
    perfect, useless = scored([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]), scored([0.5] * 4, [0, 0, 1, 1])
    assert delong(perfect, useless).value == 0.5
    assert math.isnan(delong(perfect, useless).p)
    assert math.isnan(delong(scored([0.1, 0.9], [0, 1]), scored([0.2, 0.8], [0, 1])).p)


def test_delong_finds_a_difference_in_5_percent_of_equally_good_networks():
    result = sum(delong(*two_arms(n=100, seed=seed)).p < 0.05 for seed in range(300))
    assert binom.ppf(0.0005, 300, 0.05) <= result <= binom.ppf(0.9995, 300, 0.05)


# p-values over units


def test_one_p_is_unchanged():
    assert combined([0.03]) == 0.03
    assert combined([0.03], [-0.1]) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("ps", "expected"),
    [
        ([0.01, 0.04], 0.02),  # of two the smaller, doubled: Bonferroni
        ([0.01, 0.04, 0.9], 0.08),
        ([0.01, 0.03, 0.2, 0.9], 0.06),
        ([0.7, 0.8, 0.9], 1),
        ([math.nan, 0.01, 0.04, 0.9], 0.08),
    ],
)
def test_several_are_twice_their_median(ps, expected):
    assert combined(ps) == pytest.approx(expected)


def test_without_p_values_the_combined_p_is_nan():
    assert math.isnan(combined([]))
    assert math.isnan(combined([math.nan]))
    assert math.isnan(combined([math.nan], [0.1]))


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.9, 1.0])
def test_combined_is_valid_under_any_dependence(alike):
    rng = np.random.default_rng(0)
    z = np.sqrt(alike) * rng.normal(size=(4000, 1)) + np.sqrt(1 - alike) * rng.normal(
        size=(4000, 3)
    )
    ps = 2 * norm.sf(np.abs(z))
    plain = np.mean([combined(list(row)) < 0.05 for row in ps])
    signed = np.mean([combined(list(p), list(d)) < 0.05 for p, d in zip(ps, z, strict=True)])
    assert max(plain, signed) < 0.05


def test_units_that_contradict_each_other_are_no_evidence():
    assert combined([0.001] * 4) == pytest.approx(0.002)
    assert combined([0.001] * 4, [0.1] * 4) == pytest.approx(0.002)
    assert combined([0.001, 0.001, 0.5], [0.1, -0.1, -0.01]) > 0.4


@given(st.lists(st.tuples(P, st.floats(-1, 1)), min_size=1, max_size=9))
def test_directions_never_lower_the_combined_p(told):
    ps, differences = [p for p, _ in told], [d for _, d in told]
    assert combined(ps, differences) >= min(combined(ps), 1) - 1e-12


# Holm


def test_holm_of_a_case_worked_by_hand():
    # sorted: 0.005·4, 0.01·3, 0.03·2, 0.04·1 -> never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_that_of_statsmodels():
    ps = list(np.random.default_rng(0).random(30) ** 3)
    assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


@given(st.lists(P, min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers(ps):
    adjusted = holm(ps)
    assert all(0 <= p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    by_p = [q for _, q in sorted(zip(ps, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_holm_of_one_or_of_nothing():
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
    assert math.isnan(holm([math.nan])[0])


# power


def differing(error, freedom, sources=None):
    """A difference with that standard error."""
    return Difference(0.5, 0, 1, 1, StandardError(error, freedom, sources))


@pytest.mark.parametrize("level", [0.05, 0.05 / 8])
@pytest.mark.parametrize("freedom", [1.5, 2, 4, 9.5, 130])
def test_the_smallest_effect_is_shown_in_80_percent_by_the_non_central_t(freedom, level):
    effect = smallest_effect(differing(0.02, freedom), level=level)
    assert ttest_power(effect / 0.02, 1, level, df=freedom) == pytest.approx(0.8, abs=1e-3)


def test_with_many_units_it_is_2_8_standard_errors():
    far = norm.ppf(0.975) + norm.ppf(0.8)
    assert smallest_effect(differing(0.01, 1e6)) == pytest.approx(far * 0.01, rel=1e-4)


def test_without_variance_of_images_it_is_that_of_a_t_test_of_the_units(monkeypatch):
    # without the guards, and with images that bring nothing
    monkeypatch.setattr("imil.study.statistics.standard_error.BETWEEN_WEIGHT", 1.0)
    monkeypatch.setattr("imil.study.statistics.standard_error.P_DF_FACTOR", 1.0)
    sources = VarianceSources(
        images=0, between=3e-4, noise=0, share=1 / 3, clusters=3, images_df=130
    )
    effect = smallest_effect(differing(0.01, 2, sources))
    assert ttest_power(effect / 0.01, 1, 0.05, df=2) == pytest.approx(0.8, abs=1e-3)


def test_units_that_agree_by_chance_do_not_lower_the_smallest_effect():
    def effect(between):
        sources = VarianceSources(1e-4, between, 1e-4, share=1 / 3, clusters=3, images_df=130)
        return smallest_effect(differing(0.01, 130, sources))

    alone = smallest_effect(differing(0.01, 130))
    assert effect(0) == effect(5e-5) > 1.1 * alone  # other studies of the kind will differ
    assert effect(4e-4) > effect(0)


def test_without_an_error_there_is_no_smallest_effect():
    assert math.isnan(smallest_effect(NO_DIFFERENCE))


@pytest.mark.parametrize(
    ("effect", "design", "says"),
    [
        (
            0.0571,
            {"images": 132, "seeds": 3},
            "difference of 6 points of accuracy would be shown in four of five such studies.",
        ),
        (
            0.06,
            {"images": 1320, "seeds": 2, "splits": 5, "arms": 8},
            "of accuracy would be shown in four of five such studies, corrected for 8 arms.",
        ),
        (
            0.06,
            {"images": 1320, "seeds": 2, "splits": 5},
            "and 2 seeds on each of 5 splits, a true",
        ),
        (0.004, {"images": 9000, "seeds": 9}, "of 0.4 points of accuracy"),
        (0.0099, {"images": 9000, "seeds": 9}, "of 1 point of accuracy"),
        (0.031, {"images": 132, "seeds": 3, "measure": "auroc"}, "of 0.04 in AUROC"),
        (0.031, {"images": 132, "seeds": 1, "splits": 5, "measure": "ece"}, "5 splits, a true"),
        (0.08, {"images": 132, "seeds": 1}, "the variation between seeds is not known"),
        (math.nan, {"images": 2, "seeds": 1}, "cannot be computed"),
        (1.2, {"images": 132, "seeds": 2}, "no difference of accuracy can be shown"),
    ],
)
def test_the_smallest_effect_in_a_sentence(effect, design, says):
    assert says in power_sentence(effect, **design)


# ranks


def test_rows_of_one_seed_that_differ_little_cannot_be_ranked():
    rows = {f"row {i}": right(100 + i, 32 - i) for i in range(7)}
    result = ranking(rows)
    assert result.order[0] == "row 6"
    assert len(result.ps) == 21
    assert result.different_neighbours == ()
    assert result.sentence == "With one seed and 132 images these rows cannot be ranked."


def test_neighbours_that_differ_are_named():
    rows = {"A": right(60, 72), "B": right(130, 2), "C": right(131, 1)}
    result = ranking(rows)
    assert result.order == ("C", "B", "A")
    assert result.different_neighbours == (("B", "A"),)
    assert result.sentence == (
        "With one seed and 132 images these rows cannot be ranked, except for neighbours that "
        "differ: B and A. Another seed may give another order."
    )
    assert ranking({name: rows[name] for name in "AB"}).sentence == (
        "With one seed and 132 images each of these rows differs from the next. "
        "Another seed may give another order."
    )


def test_ranks_are_corrected_for_the_number_of_pairs():
    rows = {"A": right(20, 108), "B": right(28, 100)}
    (alone,) = ranking(rows).ps.values()
    more = rows | {"C": right(28, 100), "D": right(28, 100)}
    assert alone == pytest.approx(2 / 2**8)
    assert ranking(more).ps["B", "A"] == pytest.approx(6 * alone)
