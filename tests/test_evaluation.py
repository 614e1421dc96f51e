"""Predictions as files."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from imil.errors import DataError
from imil.predictions import Predictions
from imil.run_folder import RunFolder
from imil.training.outputs.prediction_files import read_predictions, write_predictions
from imil.training.run_predictions import RunPredictions

KEYS = [f"film {i}" for i in range(5)]
LABELS = np.array([0, 1, 2, 0, 1])
PROBS = np.random.default_rng(0).dirichlet(np.ones(3), 5)


def test_predictions_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "train.parquet"
    write_predictions(path, Predictions(PROBS, LABELS, KEYS))
    back = read_predictions(path)
    np.testing.assert_array_equal(back.probs, PROBS)
    np.testing.assert_array_equal(back.labels, LABELS)
    assert list(back.keys) == KEYS


def test_the_table_has_key_label_predicted_and_a_column_per_class(tmp_path):
    path = tmp_path / "train.parquet"
    write_predictions(path, Predictions(PROBS, LABELS, KEYS))
    table = pd.read_parquet(path)
    assert list(table) == ["key", "label", "predicted", "prob_0", "prob_1", "prob_2"]
    assert list(table["key"]) == KEYS
    assert list(table["predicted"]) == PROBS.argmax(axis=1).tolist()
    assert set(map(str, table.dtypes[1:])) == {"int64", "float64"}


def test_the_columns_of_twelve_classes_keep_their_order(tmp_path):
    probs = np.random.default_rng(0).dirichlet(np.ones(12), 5)
    write_predictions(tmp_path / "p.parquet", Predictions(probs, LABELS, KEYS))
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.parquet").probs, probs)


def test_a_prediction_that_cannot_be_written_leaves_no_file(tmp_path):
    with pytest.raises(pa.ArrowInvalid):
        write_predictions(tmp_path / "p.parquet", Predictions(PROBS, LABELS, [object()] * 5))
    assert not list(tmp_path.iterdir())


def test_a_damaged_table_is_named_with_a_remedy(tmp_path):
    path = tmp_path / "train.parquet"
    write_predictions(path, Predictions(PROBS, LABELS, KEYS))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"train\.parquet cannot be read: delete it"):
        read_predictions(path)


def test_predictions_that_are_on_disk_are_read_and_not_made_again(tmp_path):
    predicted = []

    class Model:
        def predict(self, samples):
            predicted.append(samples)
            return Predictions(PROBS, LABELS, KEYS)

    folder, model = RunFolder(tmp_path), Model()
    predictions = RunPredictions(
        folder,
        model,
        {name: name for name in ("train", "val", "test")},
        marks=(70,),
        rounds=(70,),
        num_outliers=20,
        bfloat16=False,
    )
    predictions.before_round(70)
    made = predictions.train
    assert sorted(predicted) == ["test", "train", "val"]
    folder.predictions("epoch-070", "val").unlink()
    predictions.before_round(70)
    read = predictions.train
    assert sorted(predicted) == ["test", "train", "val", "val"]
    np.testing.assert_array_equal(read.probs, made.probs)
    assert list(read.keys) == KEYS
