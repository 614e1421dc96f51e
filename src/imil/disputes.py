"""The cases in which readers differ so far that an arbiter decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from imil.cases import Reading
from imil.grid import Grid
from imil.merging import by_case, newest_answers
from imil.reader_names import NOBODY
from imil.reader_panel import ReaderPanel


def disputed(readings: Iterable[Reading], grid: Grid, panel: ReaderPanel) -> list[str]:
    """The cases for the arbiter, in the order in which they were first read.

    Those with different verdicts, and those in which one minus the mean Jaccard index of each two
    readers' kept squares is above the panel's `disagreement`. The arbiter's own answers and skips
    in nobody's name do not count.

    Args:
        readings: of one round, oldest first.
        grid: of all of them.
        panel: the round's; without an arbiter there is none.
    """
    if not panel.arbiter:
        return []
    of_readers = [one for one in readings if one.reader not in (panel.arbiter, NOBODY)]
    return [
        case
        for case, given in by_case(of_readers).items()
        if _differ(newest_answers(given), grid, panel.disagreement)
    ]


def _differ(answers: Sequence[Reading], grid: Grid, most: float) -> bool:
    if len({one.verdict for one in answers}) > 1:
        return True
    if len(answers) < 2 or answers[0].verdict != "focus":
        return False
    kept = [set(one.kept_squares(grid)) for one in answers]
    overlaps = [len(a & b) / len(a | b) for a, b in combinations(kept, 2)]
    return 1 - sum(overlaps) / len(overlaps) > most + 1e-12  # 1 - 0.7 is more than 0.3
