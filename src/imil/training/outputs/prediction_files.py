"""Predictions of a run as files, and the metrics computed from those files alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imil.atomic_files import atomic_write, write_json
from imil.errors import DataError
from imil.json_files import read_table
from imil.metrics import evaluate
from imil.predictions import Predictions
from imil.run_folder import RunFolder


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a Parquet table: key, label, predicted, and one column of probability per class."""
    columns: dict[str, Any] = {"key": predictions.keys, "label": predictions.labels}
    columns |= {"predicted": predictions.predicted}
    columns |= {f"prob_{k}": column for k, column in enumerate(predictions.probs.T)}
    with atomic_write(path) as half:
        pq.write_table(pa.table(columns), half)


def read_predictions(path: Path) -> Predictions:
    """The predictions that `write_predictions` wrote; it writes no heat-maps.

    Raises: DataError: the file is damaged.
    """
    with _damage_as_data_error(path):
        table = pq.read_table(path)
    names = [name for name in table.column_names if name.startswith("prob_")]
    probs = np.column_stack([table[name].to_numpy() for name in names])
    return Predictions(probs, table["label"].to_numpy(), table["key"].to_pylist())


@contextmanager
def _damage_as_data_error(path: Path) -> Iterator[None]:
    """Turn a reader's error about a damaged table into one sentence with a remedy."""
    try:
        yield
    except (OSError, ValueError) as error:  # pyarrow's errors are of either kind
        raise DataError(
            f"{path} cannot be read: delete it and go on with `imil resume`, which writes it anew"
        ) from error


def measure(folder: RunFolder, when: str) -> dict[str, dict[str, Any]]:
    """The metrics of each split that was predicted at that time."""
    paths = sorted(folder.predictions(when, "train").parent.glob("*.parquet"))
    return {path.stem: _metrics(read_predictions(path)) for path in paths}


def _metrics(predictions: Predictions) -> dict[str, Any]:
    return {**evaluate(predictions.probs, predictions.labels), "n": len(predictions)}


def write_metrics(folder: RunFolder, *, seed: int, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Write metrics.json: every split before each round and at the end; returns its content.

    Each entry of `rounds` describes a round; the metrics of before it are added.
    """
    values = {
        "seed": seed,
        "rounds": [
            {**held, "before": measure(folder, f"epoch-{held['epoch']:03}")} for held in rounds
        ],
        "end": measure(folder, "end"),
    }
    write_json(folder.metrics, values)
    return values


def read_metrics(folder: RunFolder) -> dict[str, Any]:
    """The content of metrics.json, as `write_metrics` wrote it."""
    return read_table(folder.metrics, "delete it, and go on with `imil resume`")
