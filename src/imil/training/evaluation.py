"""Predictions of a run as files, and the numbers drawn from those files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.errors import DataError
from imil.training.folder import RunFolder, write_json, write_table
from imil.training.metrics import evaluate


def write_predictions(
    path: Path, keys: list[str], labels: NDArray[np.int64], probs: NDArray[np.float64]
) -> None:
    """A Parquet table: key, label, predicted, and one column of probability per class."""
    columns: dict[str, Any] = {"key": keys, "label": labels, "predicted": probs.argmax(axis=1)}
    columns |= {f"prob_{k}": probs[:, k] for k in range(probs.shape[1])}
    write_table(path, pd.DataFrame(columns))


def read_predictions(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (N, K) and labels (N,) of a table that `write_predictions` wrote.

    Raises: DataError: it is damaged.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are of either kind
        raise DataError(
            f"{path} cannot be read: delete it and go on with `imil resume`, which writes it anew"
        ) from error
    names = [name for name in table.columns if name.startswith("prob_")]
    return table[names].to_numpy(np.float64), table["label"].to_numpy(np.int64)


def measure(folder: RunFolder, when: str) -> dict[str, dict[str, Any]]:
    """The metrics of each split that was predicted at that time."""
    found = sorted(folder.predictions(when, "train").parent.glob("*.parquet"))
    return {path.stem: {**evaluate(*read_predictions(path)), "n": _length(path)} for path in found}


def write_metrics(folder: RunFolder, *, seed: int, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """metrics.json: every split before each round and at the end; returns what it holds.

    Each entry of `rounds` says what the round was; its metrics, taken before it, are added.
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
    """What `write_metrics` wrote."""
    values: dict[str, Any] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    return values


def _length(path: Path) -> int:
    return len(pd.read_parquet(path, columns=["label"]))
