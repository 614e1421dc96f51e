"""A reader's session as the paper tells it, and how far readers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from imil.agreement import Agreement, agreement
from imil.study.phrases import duration
from imil.study.reading_records import Answer, Session, run_sessions

Place = tuple[str, int, str]  # run, epoch, key


def session(path: Path) -> list[RenderableType]:
    """What a terminal shows of the readers of a run: cases, times and reasons, as in the paper.

    Args:
        path: a run's folder, or its store.
    Raises: SettingsError: no reader's session is there.
    Source: paper 3.3.5.
    """
    parts: list[RenderableType] = []
    for one in run_sessions(path):
        parts += [Text(line) for line in told(one)]
        parts += [Text(), _table(one), Text()]
    return parts[:-1]


def told(one: Session) -> list[str]:
    """A session in sentences: how many cases, how long, which verdicts."""
    put, read = len(one.answers), len(one.read)
    who = f"{one.reader}, played by a program," if one.played else one.reader
    first = f"{who} read {read} of {put} {'case' if put == 1 else 'cases'}"
    if one.seconds:
        ends = f"{duration(min(one.seconds))} to {duration(max(one.seconds))}"
        first += f" in {duration(one.total)}: {duration(one.middle)} a case (median; {ends})"
    lines = [f"{first}."]
    untimed = sum(not answer.seconds for answer in one.read)
    if one.seconds and untimed:
        lines.append(f"{untimed} of these cases {'has' if untimed == 1 else 'have'} no time.")
    if put < one.asked:
        lines.append(f"{one.asked} were asked for; the model made fewer mistakes.")
    if read:
        given = ", ".join(f"{verdict} {n}" for verdict, n in one.verdicts.items() if n)
        squares = f"; {one.selected:g} squares selected (median)" if one.selected else ""
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
        said = answer.reading
        cells = ("unread", "", "", "")
        if said is not None:
            time = duration(answer.seconds) if answer.seconds else "–"
            squares = " ".join(map(str, said.squares))
            cells = (said.verdict, squares, time, said.reason)
        place = f"{answer.epoch}/{answer.number}" if several else str(answer.number)
        guess = f"{answer.predicted} {100 * answer.confidence:.0f} %"
        row = (place, answer.key, answer.truth, guess, *cells)
        table.add_row(*map(Text, row))  # as text: a reason may hold brackets
    return table


def agreed(found: Sequence[Session]) -> Agreement | None:
    """How far the readers of the same cases agree; None with fewer than two readers of any.

    A case is an image in the round of a run. Where all answers to it are the same as in another
    run, as they are where readings are replayed, it counts once.
    """
    by_place: dict[Place, dict[str, Answer]] = {}
    for one in found:
        for answer in one.read:
            place = (answer.run, answer.epoch, answer.key)
            by_place.setdefault(place, {})[one.reader] = answer
    distinct: dict[object, tuple[Place, dict[str, Answer]]] = {}
    for place, answers in by_place.items():
        if len(answers) > 1:
            said = [(who, r.verdict, r.squares) for who, a in answers.items() if (r := a.reading)]
            distinct.setdefault((place[2], frozenset(said)), (place, answers))
    readings = [
        replace(reading, reader=who, case=_called(place))
        for place, answers in distinct.values()
        for who, answer in answers.items()
        if (reading := answer.reading) is not None
    ]
    grids = {answer.grid for _, answers in distinct.values() for answer in answers.values()}
    return agreement(readings, grids.pop()) if len(grids) == 1 else None


def _called(place: Place) -> str:
    """Such as `films/0001.png, seed-0-split-0 after epoch 70`."""
    run, epoch, key = place
    return f"{key}, {run} after epoch {epoch}"
