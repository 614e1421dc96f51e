"""The results table: every number again from the stored files, by other means."""

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from studies import make_study

from imil.errors import DataError
from imil.study.plan import read_plan
from imil.study.result_rows import COLUMNS, UNIT_COLUMNS, results, unit_results, whole_sets
from imil.study.statistics import paired, spread
from imil.study.study_predictions import StudyPredictions

ARMS = ("baseline", "mixup", "imil", "imil-random")
SEEDS = (0, 1)


def predictions_of(study):
    """The study's predictions, as its files are now."""
    return StudyPredictions(study, read_plan(study.plan))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of four arms and two seeds, and its results."""
    study = make_study(tmp_path_factory.mktemp("t") / "s", arms=ARMS, seeds=SEEDS, n=40, train=20)
    return study, results(predictions_of(study))


@pytest.fixture
def small(tmp_path):
    """A function that makes a small study with a few arms."""

    def make(**options):
        given = {"arms": ("baseline", "imil"), "seeds": (0,), "n": 20, "train": 20}
        given |= {"external": (), "subgroups": ()}
        return make_study(tmp_path / "s", **(given | options))

    return make


def stored(study, arm, seed, of="test", keys=None):
    """A set's predictions as they lie in the file."""
    path = study.path / "jobs" / arm / f"seed-{seed}-split-0" / "predictions" / "end"
    table = pd.read_parquet(path / f"{of}.parquet")
    return table if keys is None else table[table["key"].isin(keys)]


def accuracy(table):
    return (table["predicted"] == table["label"]).mean()


def brier(table):
    return ((table["prob_1"] - table["label"]) ** 2).mean()


def auroc(table):
    """The share of pairs in which the positive image scores higher."""
    positive = table.loc[table["label"] == 1, "prob_1"]
    negative = table.loc[table["label"] == 0, "prob_1"]
    pairs = [(p > n) + (p == n) / 2 for p, n in itertools.product(positive, negative)]
    return np.mean(pairs)


def nll(table):
    return -np.log(np.where(table["label"] == 1, table["prob_1"], table["prob_0"])).mean()


def sensitivity(table):
    return (table.loc[table["label"] == 1, "predicted"] == 1).mean()


def specificity(table):
    return (table.loc[table["label"] == 0, "predicted"] == 0).mean()


def row(table, arm, measure, of="test", subgroup=""):
    chosen = (table["arm"] == arm) & (table["measure"] == measure)
    chosen &= (table["set"] == of) & (table["subgroup"] == subgroup)
    (result,) = table[chosen].itertuples()
    return result


@pytest.mark.parametrize("measure", [accuracy, brier, auroc, nll, sensitivity, specificity])
@pytest.mark.parametrize("of", ["test", "external-montgomery"])
def test_means_spreads_and_differences_are_those_of_the_files(made, measure, of):
    study, table = made
    values = {arm: [measure(stored(study, arm, seed, of)) for seed in SEEDS] for arm in ARMS}
    for arm in ARMS:
        result = row(table, arm, measure.__name__, of)
        assert result.mean == pytest.approx(np.mean(values[arm]), abs=1e-9)
        assert result.sd == pytest.approx(np.std(values[arm], ddof=1), abs=1e-9)
        assert result.units == 2
        assert result.low <= result.mean <= result.high
    for arm in ARMS[1:]:
        result = row(table, arm, measure.__name__, of)
        delta = np.mean(values[arm]) - np.mean(values["baseline"])
        assert result.diff == pytest.approx(delta, abs=1e-9)
        assert result.diff_low <= result.diff <= result.diff_high
        assert (result.verdict == "none shown") == (result.diff_low <= 0 <= result.diff_high)


def test_a_subgroup_contains_its_images_only(made):
    study, table = made
    images = pd.read_parquet(study.images)
    women = images.loc[(images["set"] == "data") & (images["sex"] == "F"), "key"]
    of = [stored(study, "imil", seed, keys=set(women)) for seed in SEEDS]
    result = row(table, "imil", "accuracy", subgroup="sex=F")
    assert result.n == len(of[0]) < 40
    assert result.mean == pytest.approx(np.mean([accuracy(one) for one in of]))


def test_images_of_an_unknown_subgroup_are_not_a_subgroup(made):
    _, table = made
    bands = {name for name in table["subgroup"] if name.startswith("age_band")}
    assert bands == {"age_band=0-29", "age_band=30-59", "age_band=60+"}


def test_there_is_a_row_for_each_arm_set_subgroup_and_measure(made):
    _, table = made
    assert list(table.columns) == list(COLUMNS)
    groups = table.groupby(["set", "subgroup"]).ngroups
    assert len(table) == len(ARMS) * groups * 8
    assert not table.duplicated(["arm", "set", "subgroup", "measure"]).any()


def test_the_baseline_has_no_difference_from_itself(made):
    _, table = made
    own = table[table["arm"] == "baseline"]
    assert own[["diff", "diff_low", "diff_high", "p"]].isna().all().all()
    assert set(own["verdict"]) == {"not measured"}


def test_each_p_is_corrected_over_the_arms_and_decides_the_verdict(small):
    study = small(seeds=(0, 1, 2), arms=("baseline", "mixup", "imil"), effect={"imil": 2.5}, n=120)
    table = results(predictions_of(study))
    trained = {
        arm: [study.job(arm, seed, 0).predictions("test") for seed in (0, 1, 2)]
        for arm in ("baseline", "mixup", "imil")
    }
    for measure in ("accuracy", "ece"):
        ps = {
            arm: paired(trained[arm], trained["baseline"], measure, seed=0).p
            for arm in ("mixup", "imil")
        }
        less, more = sorted(ps, key=ps.get)
        assert row(table, less, measure).p == pytest.approx(min(1, 2 * ps[less]))
        assert row(table, more, measure).p == pytest.approx(max(2 * ps[less], ps[more]))
    assert row(table, "imil", "accuracy").p < 0.05
    assert row(table, "imil", "accuracy").verdict == "better"
    assert row(table, "mixup", "accuracy").verdict == "none shown"


def test_the_p_of_the_networks_is_exact_and_corrected_over_the_arms(small):
    study = small(arms=("baseline", "mixup", "imil"), effect={"imil": 0.5, "mixup": -0.7}, n=60)
    table = results(predictions_of(study))
    right = {
        arm: (one["predicted"] == one["label"]).to_numpy()
        for arm in ("baseline", "mixup", "imil")
        for one in [stored(study, arm, 0)]
    }
    ps = {}
    for arm in ("mixup", "imil"):
        gained = int((right[arm] & ~right["baseline"]).sum())
        lost = int((~right[arm] & right["baseline"]).sum())
        ps[arm] = binomtest(gained, gained + lost).pvalue
    less, more = sorted(ps, key=ps.get)
    expected = {less: min(1, 2 * ps[less])}
    expected[more] = max(expected[less], ps[more])  # Holm 1979
    for arm in ("mixup", "imil"):
        assert row(table, arm, "accuracy").p_networks == pytest.approx(expected[arm])


def test_intervals_account_for_patients_and_splits(small):
    of = "external-montgomery"  # the same images, whatever the split
    study = small(seeds=(0, 1), splits=3, external=("montgomery",))
    images = pd.read_parquet(study.images)
    images["patient"] = [f"P{int(one[1:]) // 4}" for one in images["patient"]]  # four images each
    images.to_parquet(study.images, index=False)
    result = row(results(predictions_of(study)), "imil", "nll", of)
    units = [(seed, split) for seed in (0, 1) for split in range(3)]
    mine, base = ([study.job(arm, *unit).predictions(of) for unit in units] for arm in ARMS[2::-2])
    known = {
        "patients": dict(zip(images["key"], images["patient"], strict=True)),
        "splits": [split for _, split in units],
    }
    value = spread(mine, "nll", seed=0, **known).interval
    delta = paired(mine, base, "nll", seed=0, **known)
    ends = (value.low, value.high, delta.low, delta.high)
    assert (result.low, result.high, result.diff_low, result.diff_high) == pytest.approx(ends)
    for name, without in (("patients", {}), ("splits", None)):
        less = known | {name: without}
        assert spread(mine, "nll", seed=0, **less).interval.high != pytest.approx(value.high)
        assert paired(mine, base, "nll", seed=0, **less).low != pytest.approx(delta.low)


def test_networks_are_tested_on_accuracy_and_auroc_only(made):
    _, table = made
    tested = table[table["p_networks"].notna()]
    assert set(tested["measure"]) == {"accuracy", "auroc"}


def test_arms_are_compared_over_the_trainings_that_both_have(small):
    study = small(seeds=(0, 1, 2), waiting=[("imil", 0, 0)], failed=[("baseline", 1, 0)])
    result = row(results(predictions_of(study)), "imil", "accuracy")
    assert (result.units, result.pairs) == (2, 1)
    last = accuracy(stored(study, "imil", 2)) - accuracy(stored(study, "baseline", 2))
    assert result.diff == pytest.approx(last)


def test_an_arm_without_a_training_has_no_row(small):
    study = small(waiting=[("imil", 0, 0)])
    assert set(results(predictions_of(study))["arm"]) == {"baseline"}


def test_a_study_without_a_training_has_an_empty_table(small):
    study = small(waiting=[("imil", 0, 0), ("baseline", 0, 0)])
    table = results(predictions_of(study))
    assert list(table.columns) == list(COLUMNS)
    assert table.empty


def test_an_undefined_measure_is_nan_and_keeps_its_count(small):
    study = small()
    for arm in ("baseline", "imil"):
        path = study.job(arm, 0, 0).run.predictions("end", "test")
        table = pd.read_parquet(path)
        table[table["label"] == 1].to_parquet(path, index=False)
    result = row(results(predictions_of(study)), "imil", "auroc")
    assert np.isnan([result.mean, result.low, result.diff, result.diff_low, result.p]).all()
    assert result.n == 10
    assert result.verdict == "not measured"


def test_three_classes_are_averaged_against_the_rest(small):
    study = small(classes=3, n=30)
    table = stored(study, "imil", 0)
    each = [(table.loc[table["label"] == k, "predicted"] == k).mean() for k in range(3)]
    result = row(results(predictions_of(study)), "imil", "sensitivity")
    assert result.mean == pytest.approx(np.mean(each))


def test_arms_that_predicted_different_images_are_refused(small):
    study = small()
    path = study.job("imil", 0, 0).run.predictions("end", "test")
    pd.read_parquet(path).iloc[::-1].to_parquet(path, index=False)
    with pytest.raises(DataError, match=r"'imil' and 'baseline' with seed 0 on split 0"):
        results(predictions_of(study))


def test_a_finished_job_without_test_predictions_is_an_error(small):
    study = small()
    study.job("imil", 0, 0).run.predictions("end", "test").unlink()
    with pytest.raises(DataError, match=r"test\.parquet cannot be read"):
        results(predictions_of(study))


def test_each_training_has_its_own_value_difference_and_p(made):
    study, _ = made
    every = unit_results(whole_sets(predictions_of(study)).values())
    assert list(every.columns) == list(UNIT_COLUMNS)
    assert len(every) == len(ARMS) * len(SEEDS) * 2 * 8  # sets, measures
    at = every.set_index(["set", "arm", "seed", "split", "measure"])
    for seed in SEEDS:
        one, base = (stored(study, arm, seed) for arm in ("mixup", "baseline"))
        right, others = (set(t["key"][t["predicted"] == t["label"]]) for t in (one, base))
        result = at.loc["test", "mixup", seed, 0, "accuracy"]
        assert result["value"] == pytest.approx(accuracy(one))
        assert result["diff"] == pytest.approx(accuracy(one) - accuracy(base))
        won, lost = len(right - others), len(others - right)
        assert result["p"] == pytest.approx(binomtest(won, won + lost).pvalue)
        assert at.loc["test", "mixup", seed, 0, "auroc"]["value"] == pytest.approx(auroc(one))
    own = every[every["arm"] == "baseline"]
    assert own[["diff", "p"]].isna().all().all()
    assert set(every[every["p"].notna()]["measure"]) == {"accuracy", "auroc"}


def test_a_training_without_its_baseline_has_a_value_and_no_difference(small):
    study = small(waiting=[("baseline", 0, 0)])
    every = unit_results(whole_sets(predictions_of(study)).values())
    assert set(every["arm"]) == {"imil"}
    assert every["value"].notna().all()
    assert every[["diff", "p"]].isna().all().all()


def test_the_same_folder_gives_the_same_table(small):
    study = small()
    first = results(predictions_of(study))
    shutil.rmtree(study.path / "jobs" / "imil" / "seed-0-split-0" / "predictions" / "epoch-007")
    pd.testing.assert_frame_equal(first, results(predictions_of(study)))
