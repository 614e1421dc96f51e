"""The paper's choice of cases: mispredictions, the most confident first.

Other choices, and how a round is given one by name: `imil.choices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.predictions import ROUNDING, check_finite, check_shapes

CHUNK = 512 << 10  # bytes of probabilities at a time: they stay in the processor's cache


def confident_mistakes(
    probs: NDArray[np.float64],
    labels: NDArray[np.int64],
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
) -> list[int]:
    """Positions of the n mispredictions of highest confidence, most confident first.

    Fewer where the model makes fewer mistakes. Equal confidences are ordered by key, so that
    the same model always gives the same cases.

    Args:
        probs: (N, K), each row sums to 1.
        labels: (N,), in [0, K).
        keys: N stable names.
        n: at most this many.
        rng: not used.
    Raises: ShapeError: lengths differ, or a probability is NaN or infinite.
    Source: paper 3.1, steps 2-4.

    >>> probs = np.array([[.9, .1], [.2, .8], [.4, .6]])
    >>> confident_mistakes(probs, np.array([1, 0, 1]), ["a", "b", "c"], 20)
    [0, 1]
    """
    probs, labels = np.asarray(probs), np.asarray(labels)
    positions, confidence, least = np.empty(0, np.intp), np.empty(0), -np.inf
    for start, part, of_part, true in _chunks(probs, labels, keys):
        if part.max() < least:
            continue
        # high confidence in another class leaves little for the true one
        rows = np.flatnonzero(true <= 1 - least + ROUNDING)
        highest = part[rows].max(axis=1, initial=-np.inf)
        rows, highest = rows[highest >= least], highest[highest >= least]
        wrong = part[rows].argmax(axis=1) != of_part[rows]
        positions = np.concatenate([positions, start + rows[wrong]])
        confidence = np.concatenate([confidence, highest[wrong]])
        if len(confidence) > n > 0:
            least = np.partition(confidence, -n)[-n]
            positions, confidence = positions[confidence >= least], confidence[confidence >= least]
    return rank(positions, confidence, keys, n)


def mistakes(
    probs: NDArray[np.float64], labels: NDArray[np.int64], keys: Sequence[str]
) -> NDArray[np.intp]:
    """Positions of all mispredictions, ascending.

    Args:
        probs, labels, keys: as for `confident_mistakes`.
    Raises: ShapeError: lengths differ, or a probability is NaN or infinite.
    """
    positions = [np.empty(0, np.intp)]
    for start, part, of_part, true in _chunks(np.asarray(probs), np.asarray(labels), keys):
        # for most rows the true class alone decides: below the row's mean, or a majority
        wrong = true < (1 - ROUNDING) / part.shape[1]
        doubtful = np.flatnonzero(~wrong & (true <= (1 + ROUNDING) / 2))
        wrong[doubtful] = part[doubtful].argmax(axis=1) != of_part[doubtful]
        positions.append(start + np.flatnonzero(wrong))
    return np.concatenate(positions)


def rank(
    positions: NDArray[np.intp], scores: NDArray[np.float64], keys: Sequence[str], n: int
) -> list[int]:
    """The n of these positions with the highest scores, highest first; ties are ordered by key.

    Args:
        positions: (M,), of the samples in question.
        scores: (M,), one for each of these positions.
        keys: N stable names, of all samples.
        n: at most this many.

    >>> rank(np.array([4, 5, 6]), np.array([3.0, 1.0, 3.0]), list("gfedcba"), 2)
    [6, 4]
    """
    if n < 1:
        return []
    if len(scores) > n:
        highest = np.flatnonzero(scores >= np.partition(scores, -n)[-n])
        positions, scores = positions[highest], scores[highest]
    rows = zip((-scores).tolist(), positions.tolist(), strict=True)
    return [i for _, _, i in sorted((score, keys[i], i) for score, i in rows)[:n]]


def _chunks(
    probs: NDArray[np.float64], labels: NDArray[np.int64], keys: Sequence[str]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]]:
    """Some samples at a time: position of the first, probabilities, labels, those of the label.

    Raises: ShapeError: lengths differ, or a probability is NaN or infinite.
    """
    check_shapes(probs, labels, keys)
    rows = max(1, CHUNK // max(1, probs[:1].nbytes))
    offsets = np.arange(min(rows, len(probs))) * probs.shape[1]
    for start in range(0, len(probs), rows):
        part = np.ascontiguousarray(probs[start : start + rows])
        if not np.isfinite(part.max()):
            check_finite(probs, keys)
        of_part = labels[start : start + rows]
        yield start, part, of_part, part.take(offsets[: len(part)] + of_part)
