"""What rank 0 tells the other ranks, and what they answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imil.training.samples.prepared_data import Prepared

Field = tuple[tuple[int, int], tuple[int, ...]]  # rows and columns of a grid, and squares


@dataclass(frozen=True)
class Setup:
    """The training.

    Args:
        folder: of the run.
        cache: of decoded images.
        settings: as resolved on rank 0.
        threads: of the CPU for each rank; None: as many as it has.
    """

    folder: Path
    cache: Path
    settings: dict[str, Any]
    threads: int | None


@dataclass(frozen=True)
class Ready:
    """A rank has the images.

    Args:
        images: see `fingerprint`.
        gpu: which one it trains on; "" on a CPU.
    """

    rank: int
    images: str
    gpu: str


@dataclass(frozen=True)
class Join:
    """All ranks are ready: the collective operations may begin."""


@dataclass(frozen=True)
class TrainEpoch:
    """Train an epoch. Weights, optimizer and corrections of rank 0 come first.

    Args:
        epoch: completed epochs before it.
        field: the squares that the model sees; None: all.
        optimizer: whether the state of the optimizer comes too, as when a run is resumed.
        record: whether rank 0 keeps what the steps predict.
    """

    epoch: int
    field: Field | None
    optimizer: bool
    record: bool


@dataclass(frozen=True)
class Predict:
    """Predict this rank's part of a split. The weights of rank 0 come first.

    Args:
        split: its name.
        field: as for `TrainEpoch`.
        bfloat16: as for `TorchModel.probs`.
        batch_size: images at a time, the same on all ranks.
    """

    split: str
    field: Field | None
    bfloat16: bool
    batch_size: int


@dataclass(frozen=True)
class Stop:
    """Nothing more is to do."""


def fingerprint(data: Prepared) -> str:
    """Equal for ranks that have the same images in the same splits, in the same order."""
    table = data.table
    known = (table.keys, data.split_of, data.contents, table.labels.tolist(), table.class_names)
    return hashlib.sha256(repr(known).encode()).hexdigest()
