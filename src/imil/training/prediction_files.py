"""Predictions of a run as files, and the numbers drawn from those files alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imil.atomic_files import atomic_write, write_json
from imil.errors import DataError
from imil.metrics import evaluate
from imil.run_folder import RunFolder


def write_predictions(
    path: Path, keys: Sequence[str], labels: NDArray[np.int64], probs: NDArray[np.float64]
) -> None:
    """A Parquet table: key, label, predicted, and one column of probability per class."""
    write_parts(path, keys, labels, [probs])


def write_parts(
    path: Path,
    keys: Sequence[str],
    labels: NDArray[np.int64],
    parts: Iterable[NDArray[np.float64]],
) -> None:
    """The same table from predictions as they come; each part is a row group of the file."""
    with atomic_write(path) as half, ExitStack() as opened:
        file, start = None, 0
        for probs in parts:
            rows = slice(start, start + len(probs))
            start = rows.stop
            columns: dict[str, Any] = {"key": keys[rows], "label": labels[rows]}
            columns |= {"predicted": probs.argmax(axis=1)}
            columns |= {f"prob_{k}": column for k, column in enumerate(probs.T)}
            table = pa.table(columns)
            file = file or opened.enter_context(pq.ParquetWriter(half, table.schema))
            file.write_table(table)


def read_predictions(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (N, K) and labels (N,) of a table that `write_predictions` wrote.

    Raises: DataError: it is damaged.
    """
    with _sentences(path):
        table = pd.read_parquet(path)
    names = [name for name in table.columns if name.startswith("prob_")]
    return table[names].to_numpy(np.float64), table["label"].to_numpy(np.int64)


def read_parts(path: Path) -> Iterator[NDArray[np.float64]]:
    """The probabilities of such a table in the parts in which they were written.

    Raises: DataError: it is damaged.
    """
    with _sentences(path), pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if name.startswith("prob_")]
        for part in range(file.num_row_groups):
            table = file.read_row_group(part, columns=names)
            yield np.column_stack([column.to_numpy() for column in table.columns])


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn what is said of a damaged table into what a person can do about it."""
    try:
        yield
    except (OSError, ValueError) as error:  # pyarrow's errors are of either kind
        raise DataError(
            f"{path} cannot be read: delete it and go on with `imil resume`, which writes it anew"
        ) from error


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
