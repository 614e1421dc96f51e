"""Squares that several readers marked in the same cases, fused to one selection by a named rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.grid import Grid
from imil.reader_panel import at_least, check_fusion
from imil.staple import staple

Squares = Sequence[int]
Votes = Mapping[str, Mapping[str, Squares]]  # case, reader: the squares that they marked


@dataclass(frozen=True)
class Performance:
    """How good a reader is by STAPLE, over all cases of a round.

    Args:
        reader: name.
        sensitivity: of the squares that are probably to be selected, the share that the reader
            selected, in [0, 1].
        specificity: of the others, the share that the reader left out, in [0, 1].
    """

    reader: str
    sensitivity: float
    specificity: float

    def __str__(self) -> str:
        return (
            f"{self.reader}: sensitivity {self.sensitivity:.2f}, specificity {self.specificity:.2f}"
        )


def fuse(rule: str, votes: Votes, grid: Grid) -> dict[str, tuple[int, ...]]:
    """Case -> the squares that are taken, in order.

    `soft` takes every square that anybody marked; see `shares` for how far.

    Args:
        rule: a name in `imil.reader_panel.FUSIONS`, or `at-least:K`.
        votes: the squares that each reader marked in each case; all of a round, since `staple`
            learns from all of them how good the readers are.
        grid: of all of them.
    Raises: SettingsError: there is no such rule.

    >>> fuse("union", {"case": {"Lee": (1, 2), "Wu": (2,)}}, Grid(2, 2))
    {'case': (1, 2)}
    """
    if check_fusion(rule) == "staple":
        return _by_staple(votes, grid)
    taken = _counting(rule)
    return {case: _counted(list(of_case.values()), taken) for case, of_case in votes.items()}


def performance(votes: Votes, grid: Grid) -> list[Performance]:
    """The readers' performance by STAPLE, pooled over the cases; none with fewer than two readers.

    Args:
        votes: case -> reader -> the squares that they selected.
        grid: of all of them.
    """
    readers, cases = _names(votes)
    if len(readers) < 2:
        return []
    result = staple(_table(votes, readers, cases, grid))
    numbers = zip(readers, result.sensitivity.tolist(), result.specificity.tolist(), strict=True)
    return [Performance(*row) for row in numbers]


def shares(marked: Sequence[Squares], grid: Grid) -> tuple[float, ...]:
    """Of each square, the first one first, the share of readers who marked it, in [0, 1].

    >>> shares([(1, 2), (2,)], Grid(1, 3))
    (0.5, 1.0, 0.0)
    """
    counts = Counter(square for squares in marked for square in set(squares))
    return tuple(counts[square] / len(marked) for square in range(1, grid.squares + 1))


def _counting(rule: str) -> Callable[[int, int], bool]:
    """Whether a square is taken that so many of so many readers marked."""
    least = at_least(rule)
    if least is not None:
        return lambda count, _of: count >= least
    rules: dict[str, Callable[[int, int], bool]] = {
        "union": lambda count, _of: count > 0,
        "soft": lambda count, _of: count > 0,
        "intersection": lambda count, of: count == of,
        "majority": lambda count, of: 2 * count > of,
    }
    return rules[rule]


def _counted(marked: Sequence[Squares], taken: Callable[[int, int], bool]) -> tuple[int, ...]:
    counts = Counter(square for squares in marked for square in set(squares))
    return tuple(sorted(square for square, n in counts.items() if taken(n, len(marked))))


def _by_staple(votes: Votes, grid: Grid) -> dict[str, tuple[int, ...]]:
    """The squares that are more probable than not."""
    readers, cases = _names(votes)
    if not cases:
        return dict.fromkeys(votes, ())
    truth = staple(_table(votes, readers, cases, grid)).truth.reshape(len(cases), -1)
    taken = {
        case: tuple((np.flatnonzero(row > 0.5) + 1).tolist())
        for case, row in zip(cases, truth, strict=True)
    }
    return {case: taken.get(case, ()) for case in votes}


def _names(votes: Votes) -> tuple[list[str], list[str]]:
    """All readers, and the cases that somebody answered."""
    readers = dict.fromkeys(reader for of_case in votes.values() for reader in of_case)
    return list(readers), [case for case, of_case in votes.items() if of_case]


def _table(
    votes: Votes, readers: Sequence[str], cases: Sequence[str], grid: Grid
) -> NDArray[np.float64]:
    """(R, cases × squares): 1 selected, 0 left out, NaN not answered."""
    table = np.full((len(readers), len(cases), grid.squares), np.nan)
    for i, reader in enumerate(readers):
        for j, case in enumerate(cases):
            if reader in votes[case]:
                table[i, j] = 0
                table[i, j, [square - 1 for square in votes[case][reader]]] = 1
    return table.reshape(len(readers), -1)
