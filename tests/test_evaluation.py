"""Predictions as files."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imil.errors import DataError
from imil.run_folder import RunFolder
from imil.training.prediction_files import (
    read_parts,
    read_predictions,
    write_parts,
    write_predictions,
)
from imil.training.run import Run

KEYS = [f"film {i}" for i in range(5)]
LABELS = np.array([0, 1, 2, 0, 1])
PROBS = np.random.default_rng(0).dirichlet(np.ones(3), 5)


def test_predictions_come_back_bit_for_bit_in_the_parts_in_which_they_were_written(tmp_path):
    path = tmp_path / "train.parquet"
    write_parts(path, KEYS, LABELS, iter([PROBS[:2], PROBS[2:4], PROBS[4:]]))
    parts = list(read_parts(path))
    assert [len(part) for part in parts] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts), PROBS)
    probs, labels = read_predictions(path)
    np.testing.assert_array_equal(probs, PROBS)
    np.testing.assert_array_equal(labels, LABELS)


def test_the_table_is_the_same_whole_or_in_parts(tmp_path):
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    write_predictions(whole, KEYS, LABELS, PROBS)
    write_parts(parts, KEYS, LABELS, iter([PROBS[:3], PROBS[3:]]))
    table = pd.read_parquet(parts)
    pd.testing.assert_frame_equal(table, pd.read_parquet(whole))
    assert list(table["key"]) == KEYS
    assert list(table["predicted"]) == PROBS.argmax(axis=1).tolist()


def test_a_prediction_that_fails_leaves_no_file(tmp_path):
    def failing():
        yield PROBS[:2]
        raise KeyError

    with pytest.raises(KeyError):
        write_parts(tmp_path / "train.parquet", KEYS, LABELS, failing())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("read", [read_predictions, lambda path: list(read_parts(path))])
def test_a_damaged_table_is_named_with_the_way_out(tmp_path, read):
    path = tmp_path / "train.parquet"
    write_predictions(path, KEYS, LABELS, PROBS)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"train\.parquet cannot be read: delete it"):
        read(path)


def test_the_training_set_is_predicted_last_for_a_round_goes_on_from_there(tmp_path):
    predicted = []

    class Samples:
        labels = LABELS

        def __init__(self, name):
            self.name = name

        def __len__(self):
            return len(KEYS)

        def key(self, i):
            return KEYS[i]

    class Model:
        def parts(self, samples):
            predicted.append(samples.name)
            yield PROBS

    run = SimpleNamespace(
        samples={name: Samples(name) for name in ("train", "val", "test")},
        folder=RunFolder(tmp_path),
        model=Model(),
    )
    Run._predict_all(run, "epoch-070")
    assert predicted == ["val", "test", "train"]
