"""Identical and nearly identical images: a training film must not be tested on.

Two files are identical if their bytes are. Two images are near-duplicates if the edges of their
thumbnails have a correlation of 0.92 or more.

Measured on the 662 films of the Shenzhen set, which all look similar: the two most similar
different films have correlations of 0.85, 0.81, 0.80 and 0.80 (decoded to 32, 64, 112 and 224
px), half of the films less than 0.73, 0.68, 0.66 and 0.66 with the most similar one. So there is no
false positive. Copies of 120 of them: saved as JPEG of quality 30, at half or 1.7 times the size,
with noise, a gamma of 1.5, saturated whites, a white corner letter, or rotated by 1°, all found;
with an equalised histogram 119. A rotation by 2° is rarely found, a crop by 2 % of each side or a
shift by 2 % never: those are no more similar than two films are. The usual 64-bit hashes fail here:
some different films have the same difference hash, and DCT hashes that differ in 2 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
from numpy.typing import NDArray

SIDE = 32  # pixels of a thumbnail
MIN_CORRELATION = 0.92  # of the edges of near-duplicates
BLOCK = 1024  # images compared at a time: 4 MB of float32
Rows = NDArray[np.intp]


class SimilarPair(NamedTuple):
    """Positions of two images, i < j, and the correlation of their edges, in [0, 1]."""

    i: int
    j: int
    correlation: float


def identical_files(hashes: Sequence[str]) -> list[tuple[int, ...]]:
    """Positions of files with the same bytes, in groups of two or more.

    Args:
        hashes: N hashes of the files' contents.

    >>> identical_files(["a", "b", "a"])
    [(0, 2)]
    """
    positions: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(hashes):
        positions[digest].append(i)
    return [tuple(rows) for rows in positions.values() if len(rows) > 1]


def edge_vector(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """The edges of the image's thumbnail, (P,), with norm 1; zero for an image of one value.

    The square root keeps one bright letter from outweighing the rest of the film.

    Args:
        image: (S, S) or (S, S, 3).
    """
    grey = image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8)
    small = PIL.Image.fromarray(grey).resize((SIDE, SIDE), PIL.Image.Resampling.BOX)
    values = np.asarray(small, np.float32)
    steps = np.concatenate([np.diff(values, axis=axis).ravel() for axis in (0, 1)])
    edges = np.sign(steps) * np.sqrt(np.abs(steps))
    return (edges / max(float(np.linalg.norm(edges)), 1e-12)).astype(np.float16)


def edge_vectors(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float16]:
    """The edge vectors of all images, (N, P)."""
    return np.stack([edge_vector(image) for image in images])


def find_near_duplicates(
    vectors: NDArray[np.float16],
    counts: Callable[[Rows, Rows], NDArray[np.bool_]],
    *,
    min_correlation: float = MIN_CORRELATION,
    shown: int,
) -> tuple[int, list[SimilarPair]]:
    """The number of near-duplicate pairs that count, and the most similar of them.

    Args:
        vectors: (N, P), from `edge_vectors`.
        counts: gets the positions of M pairs, (M,) and (M,); returns which of them count, (M,).
        min_correlation: correlation of edges from which two images are near-duplicates, in (0, 1].
        shown: how many pairs are returned.
    """
    total, most_similar = 0, list[SimilarPair]()
    for i, j, correlation in _similar_pairs(vectors, min_correlation):
        rows = np.flatnonzero(counts(i, j))
        total += len(rows)
        best = rows[np.argsort(-correlation[rows], kind="stable")[:shown]]
        values = zip(i[best].tolist(), j[best].tolist(), correlation[best].tolist(), strict=True)
        candidates = [*most_similar, *(SimilarPair(*pair) for pair in values)]
        most_similar = sorted(candidates, key=lambda pair: -pair.correlation)[:shown]
    return total, most_similar


def _similar_pairs(
    vectors: NDArray[np.float16], min_correlation: float
) -> Iterator[tuple[Rows, Rows, NDArray[np.float32]]]:
    """The near-duplicate pairs, each once, and their correlations, block by block."""
    for first in range(0, len(vectors), BLOCK):
        left = vectors[first : first + BLOCK].astype(np.float32)
        for second in range(first, len(vectors), BLOCK):
            correlation = left @ vectors[second : second + BLOCK].astype(np.float32).T
            i, j = np.nonzero(correlation >= min_correlation)
            once = first + i < second + j
            yield first + i[once], second + j[once], np.minimum(correlation[i, j][once], 1)
