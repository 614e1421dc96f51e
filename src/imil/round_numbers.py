"""The numbers of a round under stable names, for trackers, loggers and tables.

These names, and those in `imil.training.trackers`, do not change between releases.
"""

from __future__ import annotations

from statistics import fmean, median

from imil.cases import VERDICTS, Round
from imil.store import Store

PREFIX = "imil/"  # in a logger that a training of one's own has already
CASES = "round/readings/cases"
READERS = "round/readings/readers"
SQUARES = "round/readings/squares"  # mean number of selected squares of an answer with some
SECONDS = "round/readings/seconds"  # median time of an answer


def round_numbers(store: Store, round_: Round) -> dict[str, float]:
    """What is counted of a round's cases and of the newest answers of its readers.

    Returns: `round/readings/cases` and `/readers`; the number of cases by verdict, such as
        `/focus` and `/wrong_label`, of the answer that counts; and, where there are answers, the
        mean number of `/squares` and the median of `/seconds`.
    """
    readings = store.readings(round_.id)
    counts = list(store.current_readings(round_.id).values())
    numbers: dict[str, float] = {
        CASES: round_.cases,
        READERS: len({reading.reader for reading in readings}),
    }
    for verdict in VERDICTS:
        name = f"round/readings/{verdict.replace(' ', '_')}"
        numbers[name] = sum(reading.verdict == verdict for reading in counts)
    if selected := [len(reading.squares) for reading in counts if reading.squares]:
        numbers[SQUARES] = fmean(selected)
    if counts:
        numbers[SECONDS] = median(reading.seconds for reading in counts)
    return numbers


def logged_numbers(store: Store, round_: Round) -> dict[str, float]:
    """The same as a logger of a training of one's own gets them: `imil/round/readings/cases`."""
    numbers = {PREFIX + name: value for name, value in round_numbers(store, round_).items()}
    return {**numbers, PREFIX + "round/epoch": round_.epoch}
