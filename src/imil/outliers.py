"""Which training samples are put to the reader.

A choice is a function of arrays alone, and ranks each sample by itself: predictions come in parts
(`choose`), and the best of all must be among the best of their part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError

CHUNK = 512 << 10  # bytes of predictions looked at together: they stay in the processor's cache
ROUNDING = 0.01  # a row may sum to a little more than 1, or less

Key = Callable[[int], str]


@dataclass(frozen=True)
class Chunk:
    """Some samples that are looked at together.

    Args:
        start: position of the first.
        probs: (B, K), each row sums to 1.
        labels: (B,), in [0, K).
        there: (B,), what the model leaves for the true class.
        most: the highest of all probabilities.
    """

    start: int
    probs: NDArray[np.float64]
    labels: NDArray[np.int64]
    there: NDArray[np.float64]
    most: float


# (chunk, least, n) -> row and rank of what comes into question: every row of rank `least` or more,
# or of those at least the n of highest rank and their equals
Choice = Callable[[Chunk, float, int], list[tuple[int, float]]]


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
    Raises: ShapeError: lengths differ, or a probability is NaN or infinity.
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
    best = _Best(mistakes, keys.__getitem__, n)
    for chunk in _chunks(probs, labels, 0, keys.__getitem__, n):
        best.look_at(chunk)
    return best.positions


def mistakes(chunk: Chunk, least: float, n: int, *, slack: float = 0.0) -> list[tuple[int, float]]:
    """Mispredicted rows with a confidence of at least `least`: the n surest and their equals.

    Rows in which another class is within `slack` of the true one count as mispredicted too.
    """
    if chunk.most < least:
        return []
    probs, labels = chunk.probs, chunk.labels
    # who is that sure of another class leaves little for the true one
    rows = np.flatnonzero(chunk.there <= 1 - least + slack + ROUNDING)
    if len(rows) > len(labels) // 16:  # a poor model: few are that sure of anything
        rows = rows[_highest(probs)[rows] >= least]
    if not len(rows):
        return []
    few = probs[rows]
    confidence = few.max(axis=1)
    if slack:
        few[np.arange(len(rows)), labels[rows]] -= slack
    wrong = (few.argmax(axis=1) != labels[rows]) & (confidence >= least)
    rows, confidence = rows[wrong], confidence[wrong]
    if len(rows) > n:
        surest = confidence >= np.partition(confidence, -n)[-n]
        rows, confidence = rows[surest], confidence[surest]
    return list(zip(rows.tolist(), confidence.tolist(), strict=True))


def _highest(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest of each row; where rows are short, in a third of the time of `max(axis=1)`."""
    highest = probs[:, 0].copy()
    for column in probs.T[1:]:
        np.maximum(highest, column, out=highest)
    return highest


@dataclass(frozen=True)
class Chosen:
    """What was chosen.

    Args:
        positions: of the samples, in the choice's order.
        probs: their probabilities, (len(positions), K).
        wrong: mispredictions among all samples.
    """

    positions: list[int]
    probs: NDArray[np.float64]
    wrong: int


def choose(
    pick: Choice,
    parts: Iterable[NDArray[np.float64]],
    labels: NDArray[np.int64],
    key: Key,
    n: int,
) -> Chosen:
    """The n samples of highest rank, highest first, from predictions that come in parts.

    Equal ranks are ordered by key. Only one part and the best so far are in memory, and no key is
    asked of a sample that does not come into question.

    Args:
        pick: the choice.
        parts: probabilities (B, K) in the samples' order; B may differ.
        labels: (N,).
        key: position -> stable name.
        n: at most this many.
    Raises: ShapeError: the parts are not N rows in all, a label is no class of them, or a
        probability is NaN or infinity.
    """
    best = _Best(pick, key, n)
    seen = wrong = classes = 0
    for found in parts:
        part = np.asarray(found)
        if not seen:
            check_labels(labels, part.shape[1])
        classes, start = part.shape[1], seen
        seen += len(part)
        if seen > len(labels):
            break
        for chunk in _chunks(part, labels[start:seen], start, key, n):
            wrong += _count_wrong(chunk)
            best.look_at(chunk)
    if seen != len(labels) or not classes:
        raise ShapeError(f"{seen} predictions and {len(labels)} labels do not fit: give one each")
    return Chosen(best.positions, best.probs(classes), wrong)


def check_labels(labels: NDArray[np.int64], classes: int) -> None:
    """Find out whether a model knows every label.

    Raises: ShapeError: it has fewer classes than that.
    """
    most = int(labels.max(initial=0))
    if most >= classes:
        raise ShapeError(
            f"the model gives {classes} classes, and a label is {most}, counted from 0: give it an "
            "output for every class"
        )


def _chunks(
    probs: NDArray[np.float64], labels: NDArray[np.int64], start: int, key: Key, n: int
) -> Iterator[Chunk]:
    """The samples, some at a time; `start` is the position of the first.

    Raises: ShapeError: a probability is NaN or infinite.
    """
    rows = max(n, CHUNK // max(1, probs[:1].nbytes))
    first = np.arange(min(rows, len(probs))) * probs.shape[1]
    for at in range(0, len(probs), rows):
        some = np.ascontiguousarray(probs[at : at + rows])
        most = some.max()
        if not np.isfinite(most):  # as soon as one of them is not
            bad = key(start + at + int(np.flatnonzero(~np.isfinite(some).all(axis=1))[0]))
            raise ShapeError(
                f"the model's prediction for '{bad}' is not a number: "
                "training has diverged; lower the learning rate"
            )
        true = labels[at : at + rows]
        yield Chunk(start + at, some, true, some.take(first[: len(true)] + true), float(most))


def _count_wrong(chunk: Chunk) -> int:
    """Mispredictions. Most rows show by their true class alone which side they are on."""
    wrong = chunk.there < (1 - ROUNDING) / chunk.probs.shape[1]  # below the mean of the row
    doubtful = np.flatnonzero(~wrong & (chunk.there <= (1 + ROUNDING) / 2))  # no majority either
    wrong_too = chunk.probs[doubtful].argmax(axis=1) != chunk.labels[doubtful]
    return int(np.count_nonzero(wrong) + np.count_nonzero(wrong_too))


class _Best:
    """The n samples of highest rank among those looked at; equal ranks are ordered by key."""

    def __init__(self, pick: Choice, key: Key, n: int) -> None:
        self._pick, self._key, self._n = pick, key, n
        self._kept: list[tuple[float, str, int, NDArray[np.float64]]] = []

    def look_at(self, chunk: Chunk) -> None:
        """Keep what is better than what there is."""
        if self._n < 1:
            return
        least = -self._kept[-1][0] if len(self._kept) == self._n else -np.inf
        found = self._pick(chunk, least, self._n)
        if found:
            self._kept += [
                (-rank, self._key(chunk.start + i), chunk.start + i, chunk.probs[i].copy())
                for i, rank in found
            ]
            self._kept = sorted(self._kept)[: self._n]

    @property
    def positions(self) -> list[int]:
        """The best first."""
        return [i for _, _, i, _ in self._kept]

    def probs(self, classes: int) -> NDArray[np.float64]:
        """Their probabilities, (at most n, classes)."""
        return np.array([row for *_, row in self._kept], np.float64).reshape(-1, classes)


CHOICES: dict[str, Choice] = {"confident_mistakes": mistakes}


def choice(name: str) -> Choice:
    """The choice of that name. Raises: SettingsError: there is none."""
    if name not in CHOICES:
        raise SettingsError(f"'{name}' is no choice of outliers: give one of {', '.join(CHOICES)}")
    return CHOICES[name]
