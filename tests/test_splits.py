"""Splits: the paper's counts, classes in proportion, and no patient in two."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imil.data.splits import read_splits, split, write_splits
from imil.data.table import Table
from imil.errors import DataError, SettingsError


def table(labels, *, patients=None, splits=None, keys=None):
    keys = tuple(keys or (f"{i:04}.png" for i in range(len(labels))))
    return Table(
        keys=keys,
        images=tuple(map(Path, keys)),
        labels=np.array(labels, np.int64),
        class_names=tuple(f"class {i}" for i in range(max(labels) + 1)),
        splits=None if splits is None else tuple(splits),
        patients=None if patients is None else tuple(patients),
        masks={},
    )


SHENZHEN = [0] * 326 + [1] * 336


def counts(data, splits):
    return Counter(zip(splits, data.labels.tolist(), strict=True))


def test_the_papers_662_films_become_530_and_132():
    drawn = split(table(SHENZHEN), seed=0)
    assert Counter(drawn) == {"train": 530, "test": 132}
    # 326 × 0.2 = 65.2 and 336 × 0.2 = 67.2
    assert counts(table(SHENZHEN), drawn)["test", 0] == 65
    assert counts(table(SHENZHEN), drawn)["test", 1] == 67


def test_a_validation_split_is_drawn_as_well():
    drawn = split(table(SHENZHEN), test=0.2, val=0.1, seed=0)
    assert Counter(drawn) == {"train": 464, "val": 66, "test": 132}  # 66.2 and 132.4


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    data = table(SHENZHEN)
    first = dict(zip(data.keys, split(data, seed=3), strict=True))
    order = np.random.default_rng(0).permutation(len(data))
    again = data.select(order)
    assert dict(zip(again.keys, split(again, seed=3), strict=True)) == first
    assert dict(zip(data.keys, split(data, seed=4), strict=True)) != first


def test_a_given_split_is_kept():
    given_splits = ("train", "test", "train", "test")
    assert split(table([0, 0, 1, 1], splits=given_splits), seed=0) == given_splits


@pytest.mark.parametrize(
    ("labels", "splits", "patients", "message"),
    [
        ([0, 1, 0], ["train", "train", "test"], None, "'test' has no image of the class 'class 1'"),
        ([0, 1, 0, 1], ["train"] * 4, None, "no image is in the split 'test'"),
        ([0, 1, 0, 1], ["test"] * 4, None, "no image is in the split 'train'"),
        ([0, 1, 0, 1], ["train", "train", "test", "test"], "PQPR", "'P' is in train and in test"),
    ],
)
def test_a_given_split_that_cannot_be_used_is_refused(labels, splits, patients, message):
    with pytest.raises(DataError, match=message):
        split(table(labels, splits=splits, patients=patients), seed=0)


def test_a_class_too_small_for_every_split_is_refused():
    with pytest.raises(DataError, match="no image of the class 'class 1'"):
        split(table([0] * 50 + [1]), seed=0)


def test_a_small_class_is_in_every_split():
    data = table([0] * 50 + [1] * 3)
    drawn = split(data, test=0.1, val=0.1, seed=0)
    assert {counts(data, drawn)[name, 1] for name in ("train", "val", "test")} == {1}
    assert Counter(drawn)["test"] == 5


NAN = float("nan")


@pytest.mark.parametrize(
    ("test", "val"), [(0, 0), (1, 0), (0.5, 0.5), (0.2, -0.1), (-0.1, 0), (NAN, 0), (0.2, NAN)]
)
def test_shares_that_leave_nothing_are_refused(test, val):
    with pytest.raises(SettingsError, match="shares of"):
        split(table(SHENZHEN), test=test, val=val, seed=0)


def patients_of(sizes):
    return [f"P{i}" for i, size in enumerate(sizes) for _ in range(size)]


def test_whole_patients_fill_the_count_where_any_choice_of_them_does():
    # 20 of 100 images: threes alone leave 2 open; four threes and four twos do not
    sizes = [3] * 20 + [2] * 20
    for seed in range(20):
        drawn = split(table([i % 2 for i in range(100)], patients=patients_of(sizes)), seed=seed)
        assert Counter(drawn)["test"] == 20


def test_a_patient_larger_than_the_share_stays_in_training():
    labels = [0, 1] * 20
    drawn = split(table(labels, patients=patients_of([20, *[2] * 10])), test=0.2, seed=0)
    assert set(drawn[:20]) == {"train"}
    assert Counter(drawn)["test"] == 8


@settings(max_examples=30, derandomize=True)
@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=30, max_size=60),
    st.integers(0, 5),
)
def test_no_patient_is_in_two_splits_and_the_counts_are_near(films, seed):
    films = [[0], [0], [0], [1], [1], [1], [2], [2], [2], *films]
    patients = patients_of([len(labels) for labels in films])
    data = table([label for labels in films for label in labels], patients=patients)
    drawn = split(data, test=0.25, val=0.15, seed=seed)
    where = {}
    for patient, name in zip(patients, drawn, strict=True):
        assert where.setdefault(patient, name) == name
    result = Counter(drawn)
    # to the image, half up: there are patients with a single one of each class
    assert abs(result["test"] - 0.25 * len(data)) <= 0.5001
    assert abs(result["val"] - 0.15 * len(data)) <= 0.5001


def test_splits_are_read_back_as_they_were_written(tmp_path):
    data = table([0, 0, 1, 1], keys=["a,b.png", "ü.png", 'q".png', "d.png"])
    drawn = split(data, test=0.5, seed=0)
    write_splits(tmp_path / "splits.csv", data, drawn)
    assert [path.name for path in tmp_path.iterdir()] == ["splits.csv"]
    assert (tmp_path / "splits.csv").read_text(encoding="utf-8").startswith("key,label,split\n")
    turned = data.select([3, 2, 1, 0])
    assert read_splits(tmp_path / "splits.csv", turned) == drawn[::-1]


def test_data_that_changed_since_the_split_are_refused(tmp_path):
    data = table([0, 0, 1, 1])
    path = tmp_path / "splits.csv"
    write_splits(path, data, ("train", "test", "train", "test"))
    for other in (data.select([0, 1, 2]), table([0, 0, 1, 1, 1]), table([0, 1, 1, 1])):
        with pytest.raises(DataError, match="1 images were added, removed or relabelled, '000"):
            read_splits(path, other)
    for damaged in ("", "key,label\na,0\n", "key,label,split\n0000.png,0,tra", "\xff"):
        path.write_text(damaged, encoding="latin-1")
        with pytest.raises(DataError):
            read_splits(path, data)
    with pytest.raises(DataError, match="cannot be written"):
        write_splits(tmp_path / "nowhere" / "splits.csv", data, ("train",) * 4)
