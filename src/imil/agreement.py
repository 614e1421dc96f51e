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

from imil.agreement_coefficients import (
    Squares,
    cohen_kappa,
    fleiss_kappa,
    jaccard,
    krippendorff_alpha,
)
from imil.cases import VERDICTS, Reading, Verdict
from imil.grid import Grid

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
class ReaderAgreement:
    """How far a reader agrees with the others.

    Args:
        reader: name.
        cases: how many the reader answered, with any verdict.
        kappa: mean of Cohen's with each other reader.
        jaccard: mean of the overlaps with each other reader.
    """

    reader: str
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
        alpha: Krippendorff's, over all squares of the cases that two or more answered with `focus`.
        of_squares: Fleiss's kappa of each square by itself, the first square first.
        pairs: each two readers.
        of_readers: each reader with all others.
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
    alpha: float | None
    of_squares: tuple[float | None, ...]
    pairs: tuple[PairAgreement, ...]
    of_readers: tuple[ReaderAgreement, ...]
    jaccard: Mapping[str, float | None]
    verdicts: Mapping[str, Mapping[Verdict, float]]
    same_verdict: float | None
    misleading: MisleadingAgreement | None = None

    @property
    def mean_jaccard(self) -> float | None:
        """The overlap, mean over the cases that have one."""
        return _mean(list(self.jaccard.values()))


@dataclass(frozen=True)
class MisleadingAgreement:
    """How far readers agree on the squares that they mark as misleading.

    A reader who marks none in a case that is answered with `focus` takes none to be misleading.

    Args:
        cases: how many every reader answered with `focus`; kappa is over these.
        marked: how many have a square that at least one of their readers marked; the overlap is
            over these.
        kappa: Fleiss's, over all squares of those cases.
        alpha: Krippendorff's, over all squares of the cases that two or more answered so.
        jaccard: squares marked by both over squares marked by either, mean over the pairs of
            readers of each case and over cases.
    """

    cases: int
    marked: int
    kappa: float | None
    alpha: float | None
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
    cases = list(dict.fromkeys(one.case for one in readings))
    pairs = tuple(_pair(chosen, one, other) for one, other in combinations(readers, 2))
    return Agreement(
        readers=readers,
        grid=grid,
        cases=len(by_all),
        kappa=fleiss_kappa(votes.reshape(-1, 2)),
        alpha=krippendorff_alpha(_table(chosen, cases, grid)),
        of_squares=tuple(fleiss_kappa(votes[:, i]) for i in range(grid.squares)),
        pairs=pairs,
        of_readers=tuple(_of_reader(reader, pairs, newest) for reader in readers),
        jaccard=_of_cases(chosen, cases),
        verdicts={reader: _shares(list(newest.values()), reader) for reader in readers},
        same_verdict=_same_verdict(list(newest.values())),
        misleading=_misleading_agreement(list(newest.values()), readers, grid),
    )


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
    answered = list(dict.fromkeys(one.case for one in focus))
    cases = list(dict.fromkeys(one.case for one in focus if one.misleading))
    return MisleadingAgreement(
        cases=len(by_all),
        marked=len(cases),
        kappa=fleiss_kappa(_votes(marked, by_all, grid).reshape(-1, 2)),
        alpha=krippendorff_alpha(_table(marked, answered, grid)),
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


def _table(chosen: Chosen, cases: Sequence[str], grid: Grid) -> NDArray[np.float64]:
    """(readers, cases × squares): 1 selected, 0 left out, NaN where the reader did not say."""
    nothing = np.full(grid.squares, np.nan)
    rows = [[of_reader.get(case, nothing) for case in cases] for of_reader in chosen.values()]
    shape = len(chosen), len(cases) * grid.squares
    return np.array(rows, np.float64).reshape(shape)


def _of_reader(
    reader: str, pairs: Sequence[PairAgreement], newest: Mapping[tuple[str, str], Reading]
) -> ReaderAgreement:
    own = [pair for pair in pairs if reader in pair.readers]
    cases = sum(name == reader for name, _ in newest)
    kappa = _mean([pair.kappa for pair in own])
    return ReaderAgreement(reader, cases, kappa, _mean([pair.jaccard for pair in own]))


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
