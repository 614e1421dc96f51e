"""Coefficients of agreement between readers: kappa, alpha and the Jaccard index, of arrays.

A value that is not defined is None: one reader alone, or the same answer from all readers every
time, so that agreement by chance is certain and the coefficient would be 0 / 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imil.errors import ShapeError

Squares = NDArray[np.bool_]


def fleiss_kappa(votes: NDArray[np.int64]) -> float | None:
    """Agreement of several readers beyond chance, at most 1; 0 is what chance gives.

    Args:
        votes: (N, K), how many readers put each of N items into each of K categories; each
            item has the same number of readers.
    Raises: ShapeError: the numbers of readers differ.
    Source: Fleiss 1971.

    >>> fleiss_kappa(np.array([[2, 0], [0, 2], [1, 1], [1, 1]]))
    0.0
    """
    readers = votes.sum(axis=1)
    if len(set(readers.tolist())) > 1:
        raise ShapeError(
            f"between {readers.min()} and {readers.max()} readers answered: "
            "give the cases that all of them answered"
        )
    if not len(votes) or readers[0] < 2:
        return None
    n = int(readers[0])
    agreed = float((votes * (votes - 1)).sum(axis=1).mean() / (n * (n - 1)))
    by_chance = float(((votes.sum(axis=0) / votes.sum()) ** 2).sum())
    return _beyond_chance(agreed, by_chance)


def cohen_kappa(one: NDArray[np.int64], other: NDArray[np.int64]) -> float | None:
    """Agreement of two readers beyond chance, at most 1; 0 is what chance gives.

    Args:
        one, other: (N,), the category into which each of them put each item.
    Raises: ShapeError: N differs.
    Source: Cohen 1960.

    >>> cohen_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    0.0
    """
    if one.shape != other.shape:
        raise ShapeError(
            f"two readers answered {len(one)} and {len(other)}: give the cases that both answered"
        )
    if not len(one):
        return None
    categories = np.union1d(one, other)
    by_chance = sum(float((one == k).mean() * (other == k).mean()) for k in categories)
    return _beyond_chance(float((one == other).mean()), by_chance)


def krippendorff_alpha(codes: NDArray[np.float64]) -> float | None:
    """Agreement of several readers beyond chance, at most 1; 0 is what chance gives.

    Of nominal data. Readers may lack items; an item with fewer than two readers does not count.

    Args:
        codes: (R, N), the category into which each of R readers put each of N items; NaN: none.
    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C.

    >>> krippendorff_alpha(np.array([[1.0, 1, 0, 0], [1, 1, 0, np.nan]]))
    1.0
    """
    pairable = codes[:, (~np.isnan(codes)).sum(axis=0) > 1]
    if not pairable.size:
        return None
    known = ~np.isnan(pairable)
    categories = np.unique(pairable[known])
    counts = np.stack([(pairable == k).sum(axis=0) for k in categories])  # (K, N)
    values = counts.sum(axis=0)
    total = values.sum()
    # coincidences of different categories: each value is paired with all others of its item
    differ = float(((values * values - (counts * counts).sum(axis=0)) / (values - 1)).sum())
    of_all = counts.sum(axis=1)
    by_chance = float(total * total - (of_all * of_all).sum()) / float(total - 1)
    return 1 - differ / by_chance if by_chance else None


def jaccard(one: Squares, other: Squares) -> float | None:
    """What both selected over what either selected, in [0, 1]; None where neither selected any.

    >>> round(jaccard(np.array([True, True, False]), np.array([False, True, True])), 4)
    0.3333
    """
    either = int((one | other).sum())
    return float((one & other).sum() / either) if either else None


def _beyond_chance(agreed: float, by_chance: float) -> float | None:
    return None if by_chance > 1 - 1e-12 else (agreed - by_chance) / (1 - by_chance)
