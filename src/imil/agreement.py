"""How far several readers agree on the same cases: functions of arrays and readings alone.

A value that is not defined is None: one reader alone, or the same answer from all readers every
time, so that agreement by chance is certain and kappa would be 0 / 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from imil.cases import VERDICTS, Reading, Verdict
from imil.errors import ShapeError
from imil.grid import Grid

Squares = NDArray[np.bool_]
Chosen = Mapping[str, Mapping[str, Squares]]  # reader, case: True where a square was selected


@dataclass(frozen=True)
class PairAgreement:
    """How far two readers agree.

    Args:
        readers: their names.
        cases: how many both answered with `focus`.
        kappa: Cohen's, over all squares of those cases.
        jaccard: squares selected by both over squares selected by either, mean over those cases.
    """

    readers: tuple[str, str]
    cases: int
    kappa: float | None
    jaccard: float | None


@dataclass(frozen=True)
class Agreement:
    """How far readers agree.

    Args:
        readers: their names, in the order in which they first appear.
        grid: of their squares.
        cases: how many every reader answered with `focus`; kappa is over these.
        kappa: Fleiss's, over all squares of those cases.
        of_squares: the same of each square by itself, the first square first.
        pairs: each two readers.
        jaccard: case to squares selected by both over squares selected by either, mean over the
            pairs of readers who answered it with `focus`; of every case.
        verdicts: reader to the share of each verdict in the cases that they answered, in [0, 1].
        same_verdict: of the cases that two or more answered, the share with a single verdict.
        misleading: of the squares marked as misleading; None where nobody marked any.
    """

    readers: tuple[str, ...]
    grid: Grid
    cases: int
    kappa: float | None
    of_squares: tuple[float | None, ...]
    pairs: tuple[PairAgreement, ...]
    jaccard: Mapping[str, float | None]
    verdicts: Mapping[str, Mapping[Verdict, float]]
    same_verdict: float | None
    misleading: MisleadingAgreement | None = None


@dataclass(frozen=True)
class MisleadingAgreement:
    """How far readers agree on the squares that they mark as misleading.

    A reader who marks none in a case that is answered with `focus` takes none to be misleading.

    Args:
        cases: how many every reader answered with `focus`; kappa is over these.
        marked: how many have a square that at least one of their readers marked; the overlap is
            over these.
        kappa: Fleiss's, over all squares of those cases.
        jaccard: squares marked by both over squares marked by either, mean over the pairs of
            readers of each case and over cases.
    """

    cases: int
    marked: int
    kappa: float | None
    jaccard: float | None


def agreement(readings: Sequence[Reading], grid: Grid) -> Agreement:
    """How far the readers of the same cases agree.

    Args:
        readings: in the order in which they were given: of several of one reader on one case the
            last counts. Cases are the same if `Reading.case` is: readings of several runs need
            the image's key there.
        grid: the grid of all of them.
    Raises: SquareError: a square lies outside the grid.
    """
    newest = {(one.reader, one.case): one for one in readings}
    readers = tuple(dict.fromkeys(one.reader for one in readings))
    chosen: dict[str, dict[str, Squares]] = {reader: {} for reader in readers}
    for (reader, case), one in newest.items():
        if one.verdict == "focus" and (one.squares or not one.misleading):
            # misleading squares alone say nothing about the others
            chosen[reader][case] = _marked(one.squares, grid)
    by_all = _by_all(chosen, readings)
    votes = _votes(chosen, by_all, grid)
    return Agreement(
        readers=readers,
        grid=grid,
        cases=len(by_all),
        kappa=fleiss_kappa(votes.reshape(-1, 2)),
        of_squares=tuple(fleiss_kappa(votes[:, i]) for i in range(grid.squares)),
        pairs=tuple(_pair(chosen, one, other) for one, other in combinations(readers, 2)),
        jaccard=_of_cases(chosen, list(dict.fromkeys(one.case for one in readings))),
        verdicts={reader: _shares(list(newest.values()), reader) for reader in readers},
        same_verdict=_same_verdict(list(newest.values())),
        misleading=_misleading_agreement(list(newest.values()), readers, grid),
    )


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


def jaccard(one: Squares, other: Squares) -> float | None:
    """What both selected over what either selected, in [0, 1]; None where neither selected any.

    >>> round(jaccard(np.array([True, True, False]), np.array([False, True, True])), 4)
    0.3333
    """
    either = int((one | other).sum())
    return float((one & other).sum() / either) if either else None


def _beyond_chance(agreed: float, by_chance: float) -> float | None:
    return None if by_chance > 1 - 1e-12 else (agreed - by_chance) / (1 - by_chance)


def _misleading_agreement(
    newest: Sequence[Reading], readers: Sequence[str], grid: Grid
) -> MisleadingAgreement | None:
    focus = [one for one in newest if one.verdict == "focus"]
    if not any(one.misleading for one in focus):
        return None
    marked: dict[str, dict[str, Squares]] = {reader: {} for reader in readers}
    for one in focus:
        marked[one.reader][one.case] = _marked(one.misleading, grid)
    by_all = _by_all(marked, focus)
    cases = list(dict.fromkeys(one.case for one in focus if one.misleading))
    return MisleadingAgreement(
        cases=len(by_all),
        marked=len(cases),
        kappa=fleiss_kappa(_votes(marked, by_all, grid).reshape(-1, 2)),
        jaccard=_mean(list(_of_cases(marked, cases).values())),
    )


def _marked(squares: Sequence[int], grid: Grid) -> Squares:
    marked = np.zeros(grid.squares, bool)
    marked[[square - 1 for square in grid.check(squares)]] = True
    return marked


def _by_all(marked: Chosen, readings: Sequence[Reading]) -> list[str]:
    """The cases that every reader has squares of, in the order of the readings."""
    cases = dict.fromkeys(one.case for one in readings)
    return [case for case in cases if all(case in of_reader for of_reader in marked.values())]


def _votes(chosen: Chosen, cases: Sequence[str], grid: Grid) -> NDArray[np.int64]:
    """How many readers left out and how many selected each square, (cases, squares, 2)."""
    selected = np.zeros((len(cases), grid.squares), np.int64)
    for of_reader in chosen.values():
        for i, case in enumerate(cases):
            selected[i] += of_reader[case]
    return np.stack([len(chosen) - selected, selected], axis=2)


def _pair(chosen: Chosen, one: str, other: str) -> PairAgreement:
    both = [case for case in chosen[one] if case in chosen[other]]
    squares = [[chosen[who][case] for case in both] for who in (one, other)]
    first, second = (np.array(of, np.int64).reshape(-1) for of in squares)
    shares = [jaccard(chosen[one][case], chosen[other][case]) for case in both]
    return PairAgreement((one, other), len(both), cohen_kappa(first, second), _mean(shares))


def _of_cases(chosen: Chosen, cases: Sequence[str]) -> dict[str, float | None]:
    result = {}
    for case in cases:
        answers = [of_reader[case] for of_reader in chosen.values() if case in of_reader]
        result[case] = _mean([jaccard(a, b) for a, b in combinations(answers, 2)])
    return result


def _shares(readings: Sequence[Reading], reader: str) -> dict[Verdict, float]:
    given = [one.verdict for one in readings if one.reader == reader]
    return {verdict: given.count(verdict) / len(given) for verdict in VERDICTS}


def _same_verdict(readings: Sequence[Reading]) -> float | None:
    given: dict[str, list[Verdict]] = {}
    for one in readings:
        given.setdefault(one.case, []).append(one.verdict)
    several = [verdicts for verdicts in given.values() if len(verdicts) > 1]
    return _mean([float(len(set(verdicts)) == 1) for verdicts in several])


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else None
