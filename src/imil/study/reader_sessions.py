"""The sessions of readers for a terminal, as the paper reports them, and their agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from imil.agreement import Agreement, agreement
from imil.square_text import signed_squares
from imil.study.phrases import count, duration
from imil.study.reading_records import Answer, Session, run_sessions

Place = tuple[str, int, str]  # run, epoch, key


def session(path: Path) -> list[RenderableType]:
    """The sessions of a run's readers for a terminal: cases, times and reasons.

    Args:
        path: a run's folder, or its store.
    Raises: SettingsError: no reader has read a case.
    Source: paper 3.3.5.
    """
    parts: list[RenderableType] = []
    for one in run_sessions(path):
        parts += [Text(line) for line in session_lines(one)]
        parts += [Text(), _table(one), Text()]
    return parts[:-1]


def session_lines(one: Session) -> list[str]:
    """A session in sentences: how many cases, how long, which verdicts."""
    cases, read = len(one.answers), len(one.read)
    reader = f"{one.reader}, a program," if one.simulated else one.reader
    first = f"{reader} read {read} of {count(cases, 'case')}"
    if one.seconds:
        ends = f"{duration(min(one.seconds))} to {duration(max(one.seconds))}"
        first += (
            f" in {duration(one.total)}: {duration(one.median_seconds)} per case (median; {ends})"
        )
    lines = [f"{first}."]
    untimed = sum(not answer.seconds for answer in one.read)
    if one.seconds and untimed:
        lines.append(f"For {untimed} of these cases no time was measured.")
    if cases < one.wanted:
        lines.append(f"{one.wanted} were asked for; the model made fewer mistakes.")
    if read:
        given = ", ".join(f"{verdict} {n}" for verdict, n in one.verdicts.items() if n)
        squares = (
            f"; {one.median_squares:g} squares selected (median)" if one.median_squares else ""
        )
        lines.append(f"Verdicts: {given}{squares}.")
    changed = sum(answer.changes > 0 for answer in one.answers)
    if changed:
        lines.append(f"{changed} {'answer was' if changed == 1 else 'answers were'} changed later.")
    return lines


def _table(one: Session) -> Table:
    table = Table(title=escape(f"Cases of {one.reader}"), title_justify="left")
    table.add_column("Case", justify="right")
    for head in ("Sample", "Truth", "Predicted", "Verdict", "Squares"):
        table.add_column(head, overflow="fold")
    table.add_column("Time", justify="right")
    table.add_column("Reason", overflow="fold")
    several = len({(answer.run, answer.epoch) for answer in one.answers}) > 1
    for answer in one.answers:
        reading = answer.reading
        cells = ("unread", "", "", "")
        if reading is not None:
            time = duration(answer.seconds) if answer.seconds else "–"
            squares = signed_squares(reading.squares, reading.misleading)
            cells = (reading.verdict, squares, time, reading.reason)
        place = f"{answer.epoch}/{answer.number}" if several else str(answer.number)
        predicted = f"{answer.predicted} {100 * answer.confidence:.0f} %"
        row = (place, answer.key, answer.truth, predicted, *cells)
        table.add_row(*map(Text, row))  # as Text: brackets in a reason are not markup
    return table


def agreed(sessions: Sequence[Session]) -> Agreement | None:
    """The agreement of readers of the same cases; None if no case has two readers.

    A case is an image in the round of a run. If all answers to it are the same as in another run,
    as replayed readings are, it counts once.
    """
    by_place: dict[Place, dict[str, Answer]] = {}
    for one in sessions:
        for answer in one.read:
            place = (answer.run, answer.epoch, answer.key)
            by_place.setdefault(place, {})[one.reader] = answer
    distinct: dict[object, tuple[Place, dict[str, Answer]]] = {}
    for place, answers in by_place.items():
        if len(answers) > 1:
            content = [
                (who, r.verdict, r.squares, r.misleading)
                for who, a in answers.items()
                if (r := a.reading)
            ]
            distinct.setdefault((place[2], frozenset(content)), (place, answers))
    readings = [
        replace(reading, reader=who, case=_place_text(place))
        for place, answers in distinct.values()
        for who, answer in answers.items()
        if (reading := answer.reading) is not None
    ]
    grids = {answer.grid for _, answers in distinct.values() for answer in answers.values()}
    return agreement(readings, grids.pop()) if len(grids) == 1 else None


def _place_text(place: Place) -> str:
    """The case as text, such as `films/0001.png, seed-0-split-0 after epoch 70`."""
    run, epoch, key = place
    return f"{key}, {run} after epoch {epoch}"
