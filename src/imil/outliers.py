"""Which training samples are put to the reader.

A choice is a function of arrays alone: (probs, labels, keys, n) -> positions, first is first. It
ranks each sample by itself: predictions come in parts (`choose`), and the best of all must be among
the best of their part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError, ShapeError

CHUNK = 256 << 10  # bytes of predictions looked at together: they stay in the processor's cache
ROUNDING = 0.01  # a row may sum to a little more than 1

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
    Raises: ShapeError: lengths differ, or a probability is NaN or infinite.
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
    kept: list[tuple[float, str, int]] = []
    rows = max(n, CHUNK // max(1, probs[:1].nbytes))
    first = np.arange(rows) * probs.shape[1]
    for start in range(0, len(probs), rows):
        chunk = np.ascontiguousarray(probs[start : start + rows])
        most = chunk.max()
        if not np.isfinite(most):  # as soon as one of them is not
            bad = keys[start + int(np.flatnonzero(~np.isfinite(chunk).all(axis=1))[0])]
            raise ShapeError(
                f"the model's prediction for '{bad}' is not a number: "
                "training has diverged; lower the learning rate"
            )
        least = -kept[-1][0] if len(kept) == n else -np.inf
        if most < least:
            continue
        true = labels[start : start + rows]
        found = _mistakes(chunk, true, chunk.take(first[: len(true)] + true), least, n)
        if found:
            kept += [(-confidence, keys[start + i], start + i) for i, confidence in found]
            kept = sorted(kept)[:n]
    return [i for _, _, i in kept]


def _mistakes(
    probs: NDArray[np.float64],
    labels: NDArray[np.int64],
    there: NDArray[np.float64],
    least: float,
    n: int,
) -> list[tuple[int, float]]:
    """Mispredicted rows with a confidence of at least `least`: the n surest and their equals.

    `there` is what the model leaves for the true class.
    """
    # who is that sure of another class leaves little for the true one
    rows = np.flatnonzero(there <= 1 - least + ROUNDING)
    if least > 0.5 and len(rows) > len(labels) // 16:  # a poor model: few are that sure of anything
        sure = np.flatnonzero(probs.ravel() >= least) // probs.shape[1]
        rows = np.intersect1d(rows, sure)
    if not len(rows):
        return []
    few = probs[rows]
    confidence = few.max(axis=1)
    wrong = (few.argmax(axis=1) != labels[rows]) & (confidence >= least)
    rows, confidence = rows[wrong], confidence[wrong]
    if len(rows) > n:
        surest = confidence >= np.partition(confidence, -n)[-n]
        rows, confidence = rows[surest], confidence[surest]
    return list(zip(rows.tolist(), confidence.tolist(), strict=True))


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
    key: Callable[[int], str],
    n: int,
) -> Chosen:
    """What `pick` chooses from predictions that come in parts.

    Only one part and the best so far are in memory. Right for whatever ranks samples by
    themselves: the best of all are among the best of their part.

    Args:
        pick: the choice.
        parts: probabilities (B, K) in the samples' order; B may differ.
        labels: (N,).
        key: position -> stable name.
        n: at most this many.
    Raises: ShapeError: the parts are not N rows in all, or as `pick`.
    """
    best: NDArray[np.intp] = np.empty(0, np.intp)
    probs: NDArray[np.float64] | None = None
    seen = wrong = 0
    for found in parts:
        part = np.asarray(found, np.float64)
        new = np.arange(seen, seen + len(part))
        seen += len(part)
        if seen > len(labels):
            break
        wrong += int((part.argmax(axis=1) != labels[new]).sum())
        rows = np.concatenate([best, new])
        both = part if probs is None else np.concatenate([probs, part])
        picked = pick(both, labels[rows], [key(int(i)) for i in rows], n)
        best, probs = rows[picked], both[picked]
    if seen != len(labels) or probs is None:
        raise ShapeError(f"{seen} predictions and {len(labels)} labels do not fit: give one each")
    return Chosen(best.tolist(), probs, wrong)


CHOICES: dict[str, Choice] = {"confident_mistakes": confident_mistakes}


def choice(name: str) -> Choice:
    """The choice of that name. Raises: SettingsError: there is none."""
    if name not in CHOICES:
        raise SettingsError(f"'{name}' is no choice of outliers: give one of {', '.join(CHOICES)}")
    return CHOICES[name]
