"""Images that are the same, or almost: a film that was trained on must not be tested on.

Two files are the same image if their bytes are. Two images look almost alike if the edges of
their thumbnails correlate by 0.92 or more.

Measured on the 662 films of the Shenzhen set, which all look alike: the two different films that
are most alike correlate by 0.85, 0.81, 0.80 and 0.80 (decoded to 32, 64, 112 and 224 px), half of
the films by less than 0.73, 0.68, 0.66 and 0.66 with their nearest. So no pair is a false alarm.
Copies of 120 of them: saved as JPEG of quality 30, at half or 1.7 times the size, with noise, a
gamma of 1.5, burnt-out whites, a white corner letter, or turned by 1°, all are found; with an
equalised histogram 119. A turn by 2° is seldom found, a crop by 2 % of each side or a shift by
2 % never: those look no more alike than two films do. The usual 64-bit hashes do not do here:
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
NEAR = 0.92  # correlation of edges
BLOCK = 1024  # images compared at a time: 4 MB of float32
Rows = NDArray[np.intp]


class Pair(NamedTuple):
    """Positions of two images, i < j, and how alike they are, in [0, 1]."""

    i: int
    j: int
    alike: float


def same(contents: Sequence[str]) -> list[tuple[int, ...]]:
    """Positions of images with the same bytes, a group of two or more each.

    Args:
        contents: N hashes of the files.

    >>> same(["a", "b", "a"])
    [(0, 2)]
    """
    where: dict[str, list[int]] = defaultdict(list)
    for i, content in enumerate(contents):
        where[content].append(i)
    return [tuple(rows) for rows in where.values() if len(rows) > 1]


def fingerprint(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """The edges of the image's thumbnail, (P,), of length 1; 0 for an image of one value.

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


def fingerprints(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float16]:
    """Those of all images, (N, P)."""
    return np.stack([fingerprint(image) for image in images])


def near(
    prints: NDArray[np.float16],
    matter: Callable[[Rows, Rows], NDArray[np.bool_]],
    *,
    least: float = NEAR,
    shown: int,
) -> tuple[int, list[Pair]]:
    """How many pairs of images look almost alike and matter, and the most alike of them.

    Args:
        prints: (N, P), from `fingerprint`.
        matter: is given the positions of M pairs, (M,) and (M,); says which of them count.
        least: correlation of edges from which on two images look almost alike, in (0, 1].
        shown: how many pairs come back.
    """
    count, most = 0, list[Pair]()
    for i, j, alike in _blocks(prints, least):
        rows = np.flatnonzero(matter(i, j))
        count += len(rows)
        best = rows[np.argsort(-alike[rows], kind="stable")[:shown]]
        found = zip(i[best].tolist(), j[best].tolist(), alike[best].tolist(), strict=True)
        most = sorted([*most, *(Pair(*one) for one in found)], key=lambda pair: -pair.alike)[:shown]
    return count, most


def _blocks(
    prints: NDArray[np.float16], least: float
) -> Iterator[tuple[Rows, Rows, NDArray[np.float32]]]:
    """The pairs that look almost alike, each once, and how alike they are."""
    for first in range(0, len(prints), BLOCK):
        left = prints[first : first + BLOCK].astype(np.float32)
        for second in range(first, len(prints), BLOCK):
            alike = left @ prints[second : second + BLOCK].astype(np.float32).T
            i, j = np.nonzero(alike >= least)
            once = first + i < second + j
            yield first + i[once], second + j[once], np.minimum(alike[i, j][once], 1)
