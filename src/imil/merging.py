"""Several readers' answers of one case, merged to the reading that training uses.

Of each reader the newest answer counts. A reader alone is not merged with anybody. A round keeps
the name of its rule, so that a resumed run merges as it did before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from imil.cases import Reading, Verdict
from imil.errors import SettingsError
from imil.grid import Grid
from imil.reader_names import NOBODY
from imil.square_text import signed_squares

Rule = Callable[[Sequence[Reading], Grid], Reading]
MERGE = "majority"  # of a round, unless told otherwise
# of verdicts that were given equally often, the one that says most
MOST_TELLING: tuple[Verdict, ...] = ("wrong label", "not assessable", "skip")


@dataclass(frozen=True)
class Merged:
    """What counts of a case.

    Args:
        reading: what training uses; with one reader that reader's newest answer itself.
        answers: the newest answer of each reader, oldest first.
    """

    reading: Reading
    answers: tuple[Reading, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The readers whose answer is not what training uses."""
        return tuple(one.reader for one in self.answers if _marks(one) != _marks(self.reading))

    def sentence(self, number: int) -> str:
        """One line for the log: every answer, and what counts.

        Args:
            number: of the case.
        """
        given = "; ".join(f"{one.reader}: {_text(one)}" for one in self.answers)
        return f"Case {number}: {given}. Training uses: {_text(self.reading)}."


def merged(readings: Sequence[Reading], grid: Grid, rule: str = MERGE) -> dict[str, Merged]:
    """Case -> what counts of it.

    Args:
        readings: of any cases and readers, oldest first.
        grid: of all of them.
        rule: a name in `RULES`.
    Raises: SettingsError: there is no such rule.
    """
    merge = find_rule(rule)
    of_cases: dict[str, list[Reading]] = {}
    for one in readings:
        of_cases.setdefault(one.case, []).append(one)
    return {case: _merged(given, grid, merge) for case, given in of_cases.items()}


def find_rule(name: str) -> Rule:
    """The rule of that name. Raises: SettingsError: there is none."""
    if name not in RULES:
        raise SettingsError(
            f"unknown rule '{name}' for several readers: expected one of {', '.join(RULES)}"
        )
    return RULES[name]


def majority(answers: Sequence[Reading], grid: Grid) -> Reading:
    """The squares that more than half of the readers who marked squares selected.

    Misleading squares likewise, of the same readers: those who marked a square in either way. Other
    answers count only where nobody marked a square: then the most frequent one. Where those who
    marked squares agree on none, the case is skipped.

    Args:
        answers: one of each reader, at least two, oldest first.
        grid: of the squares.

    >>> lee = Reading("case", "Lee", "focus", (1, 2))
    >>> wu, kim = Reading("case", "Wu", "focus", (2, 3)), Reading("case", "Kim", "skip")
    >>> majority([lee, wu, kim], Grid(2, 2)).squares
    (2,)
    """
    marked = [one for one in answers if one.verdict == "focus"]
    if not marked:
        return _joined(answers, _most_frequent(answers))
    squares = _taken([one.squares for one in marked])
    misleading = _taken([one.misleading for one in marked])
    if len(misleading) == grid.squares:  # nothing would be left of the image
        misleading = ()
    if not squares and not misleading:
        return _joined(answers, "skip")
    return _joined(answers, "focus", squares, misleading)


def newest(answers: Sequence[Reading], _grid: Grid) -> Reading:
    """The newest answer of anybody: the rule of rounds that were applied before rules had names."""
    return answers[-1]


RULES: Mapping[str, Rule] = {"majority": majority, "newest": newest}


def _merged(given: Sequence[Reading], grid: Grid, rule: Rule) -> Merged:
    of_readers: dict[str, Reading] = {}
    for one in given:
        of_readers.pop(one.reader, None)
        of_readers[one.reader] = one
    if len(of_readers) > 1:
        of_readers.pop(NOBODY, None)
    answers = tuple(of_readers.values())
    return Merged(answers[0] if len(answers) == 1 else rule(answers, grid), answers)


def _taken(marked: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The squares that more than half have."""
    counts = Counter(square for squares in marked for square in squares)
    return tuple(sorted(square for square, count in counts.items() if 2 * count > len(marked)))


def _most_frequent(answers: Sequence[Reading]) -> Verdict:
    counts = Counter(one.verdict for one in answers)
    return max(MOST_TELLING, key=lambda verdict: counts[verdict])


def _joined(
    answers: Sequence[Reading],
    verdict: Verdict,
    squares: tuple[int, ...] = (),
    misleading: tuple[int, ...] = (),
) -> Reading:
    """A reading of all these readers together; the time is the sum of theirs."""
    return Reading(
        answers[0].case,
        ", ".join(one.reader for one in answers),
        verdict,
        squares,
        "; ".join(f"{one.reader}: {one.reason}" for one in answers if one.reason),
        sum(one.seconds for one in answers),
        misleading=misleading,
        id="+".join(one.id for one in answers),
        created=max(one.created for one in answers),
    )


def _marks(reading: Reading) -> tuple[object, ...]:
    return reading.verdict, reading.squares, reading.misleading


def _text(reading: Reading) -> str:
    return signed_squares(reading.squares, reading.misleading) or reading.verdict
