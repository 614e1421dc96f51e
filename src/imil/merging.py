"""Several readers' answers of one case, merged to the reading that training uses.

Of each reader the newest answer counts. A reader alone is not merged with anybody. A round keeps
its `ReaderPanel`, so that a resumed run merges as it did before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imil.cases import Correction, Reading, Verdict
from imil.fusion import Performance, fuse, performance, shares
from imil.grid import Grid
from imil.reader_names import NOBODY
from imil.reader_panel import OLD_FUSIONS, PANEL, ReaderPanel
from imil.square_text import signed_squares

# of verdicts that were given equally often, the one that says most
MOST_TELLING: tuple[Verdict, ...] = ("wrong label", "not assessable", "skip")
FLAGS: tuple[Verdict, ...] = MOST_TELLING[:2]  # verdicts on the image rather than on its squares


@dataclass(frozen=True)
class Merged:
    """What counts of a case.

    Args:
        reading: what training uses; with one reader that reader's newest answer itself.
        answers: the newest answer of each reader, oldest first.
        shares: of each square, the first one first, the share of readers who keep it, in [0, 1];
            None where a square is kept or not.
    """

    reading: Reading
    answers: tuple[Reading, ...]
    shares: tuple[float, ...] | None = None

    @property
    def corrects(self) -> bool:
        """Whether what counts are squares."""
        return self.reading.verdict == "focus"

    @property
    def flagged(self) -> bool:
        """Whether what counts is that the label is wrong, or that nothing can be assessed."""
        return self.reading.verdict in FLAGS

    @property
    def left_out(self) -> tuple[str, ...]:
        """The readers whose answer is not what training uses."""
        graded = self.shares is not None
        return tuple(
            one.reader for one in self.answers if graded or _marks(one) != _marks(self.reading)
        )

    def correction(self, grid: Grid) -> Correction:
        """What the training image keeps; only where the verdict is `focus`."""
        return Correction(grid, self.reading.kept_squares(grid), self.shares)

    def sentence(self, number: int) -> str:
        """One line for the log: every answer, and what counts.

        Args:
            number: of the case.
        """
        given = "; ".join(f"{one.reader}: {_text(one)}" for one in self.answers)
        used = _text(self.reading) if self.shares is None else shares_text(self.shares)
        return f"Case {number}: {given}. Training uses: {used}."


def merged(
    readings: Iterable[Reading], grid: Grid, panel: ReaderPanel = PANEL
) -> dict[str, Merged]:
    """Case -> what counts of it.

    Where most of the readers who did not skip say that the label is wrong or that nothing can be
    assessed, that counts. Otherwise the squares of those who marked any are fused by the panel's
    rule, and misleading squares likewise: a square that is taken as both is what more of them say,
    selected in a tie. Where nothing is taken, the case is skipped. Where the arbiter has answered,
    that answer counts alone.

    Args:
        readings: of any cases of one round and of any readers, oldest first.
        grid: of all of them.
        panel: the round's.
    """
    answers = {case: newest_answers(given) for case, given in by_case(readings).items()}
    if panel.fusion in OLD_FUSIONS.values():
        return {case: _as_before(given, grid, panel.fusion) for case, given in answers.items()}
    marked = {case: _focused(given, panel.arbiter) for case, given in answers.items()}
    squares = fuse(panel.fusion, _selected(marked, panel.fusion), grid)
    misleading = fuse(
        panel.fusion, {c: {r.reader: r.misleading for r in m} for c, m in marked.items()}, grid
    )
    return {
        case: _merged(given, marked[case], squares[case], misleading[case], grid, panel)
        for case, given in answers.items()
    }


def reader_performance(
    readings: Iterable[Reading], grid: Grid, panel: ReaderPanel
) -> list[Performance]:
    """Sensitivity and specificity of each reader by STAPLE, where that is the panel's rule.

    Args:
        readings, grid, panel: as for `merged`.
    """
    if panel.fusion != "staple":
        return []
    answers = {case: newest_answers(given) for case, given in by_case(readings).items()}
    marked = {case: _focused(given, panel.arbiter) for case, given in answers.items()}
    return performance(_selected(marked, panel.fusion), grid)


def by_case(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Case -> its readings, in their order."""
    of_cases: dict[str, list[Reading]] = {}
    for one in readings:
        of_cases.setdefault(one.case, []).append(one)
    return of_cases


def newest_answers(given: Iterable[Reading]) -> tuple[Reading, ...]:
    """The newest answer of each reader, oldest first; in nobody's name only where it is alone.

    Args:
        given: readings of one case, oldest first.
    """
    of_readers: dict[str, Reading] = {}
    for one in given:
        of_readers.pop(one.reader, None)
        of_readers[one.reader] = one
    if len(of_readers) > 1:
        of_readers.pop(NOBODY, None)
    return tuple(of_readers.values())


def verdict_of(answers: Sequence[Reading]) -> Verdict:
    """The verdict of several readers together; `focus` where their squares are to be fused.

    >>> verdict_of([Reading("c", "Lee", "focus", (1,)), Reading("c", "Wu", "skip")])
    'focus'
    """
    verdicts = [one.verdict for one in answers]
    flags = [verdict for verdict in verdicts if verdict in FLAGS]
    if "focus" not in verdicts:
        return _most_frequent(verdicts)
    opinions = len(verdicts) - verdicts.count("skip")
    return _most_frequent(flags) if 2 * len(flags) > opinions else "focus"


def shares_text(kept: Sequence[float]) -> str:
    """Squares and the share of readers who keep each, such as `1 (50 %) 2 (100 %)`."""
    return " ".join(
        f"{i} ({share:.0%})".replace("%", " %") for i, share in enumerate(kept, 1) if share
    )


def _focused(answers: Sequence[Reading], arbiter: str) -> list[Reading]:
    return [one for one in answers if one.verdict == "focus" and one.reader != arbiter]


def _selected(
    marked: Mapping[str, Sequence[Reading]], rule: str
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Case -> reader -> selected squares.

    For STAPLE, who marked misleading squares alone has said nothing about the others.
    """
    return {
        case: {one.reader: one.squares for one in of_case if one.squares or rule != "staple"}
        for case, of_case in marked.items()
    }


def _merged(
    answers: tuple[Reading, ...],
    marked: Sequence[Reading],
    squares: tuple[int, ...],
    misleading: tuple[int, ...],
    grid: Grid,
    panel: ReaderPanel,
) -> Merged:
    decided = [one for one in answers if panel.arbiter and one.reader == panel.arbiter]
    if decided or len(answers) == 1:
        return Merged((decided or answers)[0], answers)
    verdict = verdict_of(answers)
    if verdict != "focus":
        return Merged(_joined(answers, verdict), answers)
    if panel.fusion == "soft":
        kept = shares([one.kept_squares(grid) for one in marked], grid)
        squares = tuple(square for square, share in enumerate(kept, 1) if share)
        return Merged(_joined(answers, "focus", squares), answers, kept)
    squares, misleading = _once_each(squares, misleading, marked)
    return Merged(_fused(answers, squares, misleading, grid), answers)


def _once_each(
    squares: tuple[int, ...], misleading: tuple[int, ...], marked: Sequence[Reading]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both without the squares that are taken as both and that fewer readers mark so."""
    selects = Counter(square for one in marked for square in one.squares)
    misleads = Counter(square for one in marked for square in one.misleading)
    both = set(squares) & set(misleading)
    stronger = {square for square in both if misleads[square] > selects[square]}
    return (
        tuple(square for square in squares if square not in stronger),
        tuple(square for square in misleading if square not in both or square in stronger),
    )


def _fused(
    answers: Sequence[Reading], squares: tuple[int, ...], misleading: tuple[int, ...], grid: Grid
) -> Reading:
    if len(misleading) == grid.squares:  # nothing would be left of the image
        misleading = ()
    if not squares and not misleading:
        return _joined(answers, "skip")
    return _joined(answers, "focus", squares, misleading)


def _as_before(answers: tuple[Reading, ...], grid: Grid, rule: str) -> Merged:
    """As an older imil merged: by the newest answer, or by the majority of those who marked."""
    if len(answers) == 1 or rule == OLD_FUSIONS["newest"]:
        return Merged(answers[-1], answers)
    marked = _focused(answers, "")
    if not marked:
        verdict = _most_frequent([one.verdict for one in answers])
        return Merged(_joined(answers, verdict), answers)
    squares, misleading = (
        fuse(
            "majority", {"": {one.reader: of for one, of in zip(marked, kind, strict=True)}}, grid
        )[""]
        for kind in ([one.squares for one in marked], [one.misleading for one in marked])
    )
    return Merged(_fused(answers, squares, misleading, grid), answers)


def _most_frequent(verdicts: Sequence[Verdict]) -> Verdict:
    counts = Counter(verdicts)
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
