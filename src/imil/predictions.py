"""What a model predicts for a data set: one value, from the network to the round and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError

HeatMap = NDArray[np.float32]
ROUNDING = 0.01  # by how much a row may miss a sum of 1


class Labelled(Protocol):
    """Samples with labels and keys; `imil.cases.Samples` are."""

    def __len__(self) -> int:
        """Number of samples, N."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ground truth, (N,), in [0, K)."""
        ...

    def key(self, i: int) -> str:
        """Stable, unique name of the i-th sample."""
        ...


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for N samples of K classes.

    Args:
        probs: probabilities (N, K), float64; each row sums to 1.
        labels: ground truth (N,), in [0, K).
        keys: N stable names.
        heat_maps: (position, class) -> heat-map (h, w) in [0, 1], for the pairs that have one.
    Raises: ShapeError: the lengths differ, or a label has no column in `probs`.
    """

    probs: NDArray[np.float64]
    labels: NDArray[np.int64]
    keys: Sequence[str]
    heat_maps: Mapping[tuple[int, int], HeatMap] = field(default_factory=dict)

    def __post_init__(self) -> None:
        probs, labels = np.asarray(self.probs), np.asarray(self.labels)
        check_shapes(probs, labels, self.keys)
        check_labels(labels, probs.shape[1])
        object.__setattr__(self, "probs", probs)
        object.__setattr__(self, "labels", labels)

    @classmethod
    def of(cls, samples: Labelled, probs: NDArray[np.float64]) -> Predictions:
        """Predictions for these samples, with their labels and keys."""
        return cls(probs, samples.labels, [samples.key(i) for i in range(len(samples))])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class of highest probability, (N,); the first of several equal ones."""
        predicted: NDArray[np.int64] = self.probs.argmax(axis=1)
        return predicted


def check_shapes(
    probs: NDArray[np.float64], labels: NDArray[np.int64], keys: Sequence[str]
) -> None:
    """Check that there is one row, one label and one key for each sample.

    Raises: ShapeError: there is not.
    """
    if probs.ndim != 2 or not len(probs) == len(labels) == len(keys):
        raise ShapeError(
            f"probabilities of shape {probs.shape}, {len(labels)} labels and {len(keys)} keys do "
            "not match: expected (N, K), N and N"
        )


def check_labels(labels: NDArray[np.int64], classes: int) -> None:
    """Check that the model has an output for every label.

    Raises: ShapeError: it has fewer classes.
    """
    highest = int(labels.max(initial=0))
    if highest >= classes:
        raise ShapeError(
            f"the model gives {classes} classes, and a label is {highest}, counted from 0: give it "
            "an output for every class"
        )


def check_finite(probs: NDArray[np.float64], keys: Sequence[str]) -> None:
    """Check that every probability is a finite number.

    Raises: ShapeError: one is NaN or infinite.
    """
    if np.isfinite(probs.sum()):  # one read of the array
        return
    rows = np.flatnonzero(~np.isfinite(probs).all(axis=1))
    if len(rows):
        raise ShapeError(
            f"the model's prediction for '{keys[int(rows[0])]}' is not a number: "
            "training has diverged; lower the learning rate"
        )


def check_probabilities(probs: NDArray[np.float64]) -> None:
    """Check that rows are probabilities; rows with NaN are left to `check_finite`.

    Raises: SettingsError: a value is negative, or a row does not sum to 1.
    """
    if (probs < 0).any() or (np.abs(probs.sum(axis=1) - 1) > ROUNDING).any():
        raise SettingsError(
            f"`predictions` have values from {probs.min():.3g} to {probs.max():.3g} in rows that "
            "do not all sum to 1: expected probabilities, such as the softmax of the logits"
        )
