"""Which training samples are put to the reader.

A choice is a function of arrays alone: (probs, labels, keys, n) -> positions, first is first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError

Choice = Callable[[NDArray[np.float64], NDArray[np.int64], Sequence[str], int], list[int]]


def confident_mistakes(
    probs: NDArray[np.float64], labels: NDArray[np.int64], keys: Sequence[str], n: int
) -> list[int]:
    """Positions of the n mispredictions of highest confidence, most confident first.

    Fewer where the model makes fewer mistakes. Equal confidences are ordered by key, so that
    the same model always asks the same questions.

    Args:
        probs: (N, K), each row sums to 1.
        labels: (N,), in [0, K).
        keys: N stable names.
        n: at most this many.
    Raises: ShapeError: lengths differ, or a probability is not a number.
    Source: paper 3.1, steps 2-4.

    >>> probs = np.array([[.9, .1], [.2, .8], [.4, .6]])
    >>> confident_mistakes(probs, np.array([1, 0, 1]), ["a", "b", "c"], 20)
    [0, 1]
    """
    probs, labels = np.asarray(probs), np.asarray(labels)
    if probs.ndim != 2 or not len(probs) == len(labels) == len(keys):
        raise ShapeError(
            f"probabilities {probs.shape}, {len(labels)} labels and {len(keys)} keys do not fit: "
            "give (N, K), N and N"
        )
    if not np.isfinite(probs).all():
        bad = keys[int(np.flatnonzero(~np.isfinite(probs).all(axis=1))[0])]
        raise ShapeError(
            f"the model's prediction for '{bad}' is not a number: "
            "training has diverged; lower the learning rate"
        )
    predicted = probs.argmax(axis=1)
    confidence = probs.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return sorted(map(int, wrong), key=lambda i: (-confidence[i], keys[i]))[:n]


CHOICES: dict[str, Choice] = {"confident_mistakes": confident_mistakes}


def choice(name: str) -> Choice:
    """The choice of that name. Raises: SettingsError: there is none."""
    if name not in CHOICES:
        raise SettingsError(f"'{name}' is no choice of outliers: give one of {', '.join(CHOICES)}")
    return CHOICES[name]
