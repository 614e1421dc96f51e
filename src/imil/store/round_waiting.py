"""Who has finished a round, who is still waited for, and when the arbiter's turn comes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from imil.assignment import asked_numbers
from imil.cases import Reading, RoundSettings
from imil.disputes import disputed
from imil.reader_names import AUTOMATIC, NOBODY
from imil.store import schema
from imil.store.clock import now
from imil.store.row_mapping import reading_of
from imil.store.statements import retry_interrupted

if TYPE_CHECKING:
    from imil.store.store import Store


@dataclass(frozen=True)
class Waiting:
    """What keeps a round open.

    Args:
        readers: who must still finish, by name.
        more: how many more readers must finish; any reader counts.
        finished: who has finished.
        disputed: ids of the cases that the arbiter is asked for; empty while other readers are
            waited for, and without an arbiter.
    """

    readers: tuple[str, ...]
    more: int
    finished: tuple[str, ...]
    disputed: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """For how many readers the round waits."""
        return len(self.readers) + self.more

    @property
    def over(self) -> bool:
        """Whether nobody is waited for."""
        return not self.count

    @property
    def may_close(self) -> bool:
        """Whether a round at a page is answered: somebody has finished, nobody is waited for."""
        return self.over and bool(self.finished)

    def __str__(self) -> str:
        if self.disputed and self.readers:
            count = len(self.disputed)
            cases = "1 case" if count == 1 else f"{count} cases"
            return f"{self.readers[0]}, the arbiter of {cases} in which the readers differ"
        more = f"{self.more} more reader{'' if self.more == 1 else 's'}" if self.more else ""
        return " and ".join(filter(None, (", ".join(self.readers), more))) or "nobody"


@retry_interrupted
def waiting(store: Store, round_id: str, *, at_page: bool = True) -> Waiting:
    """What keeps a round open.

    With a quorum in its panel, each case must have so many readings of readers who have finished;
    otherwise every reader who is named must finish or, where nobody is, every reader with a valid
    link. In both cases all who have begun are waited for. The arbiter's turn comes when nobody
    else is waited for, if the readers differ in some case. Whose link is revoked or expired is not
    waited for. The link that a run gets by itself counts only where it was opened or is the only
    one.

    Args:
        round_id: of the round.
        at_page: False where a reader without a page answers the round: then invited readers who
            have not begun are not waited for, and all who have answered every case have finished.
    """
    with store.read() as db:
        return waiting_in(db, round_id, at_page=at_page)


def waiting_in(db: Connection, round_id: str, *, at_page: bool) -> Waiting:
    """As `waiting`, within a transaction."""
    facts = _facts(db, round_id, at_page=at_page)
    still = _readers_awaited(facts)
    arbiter = facts.settings.panel.arbiter
    if not arbiter or not still.over or not still.finished or arbiter in facts.left:
        return still
    readings = readings_in(db, round_id)
    cases = disputed(readings, facts.settings.grid, facts.settings.panel)
    if not cases:
        return still
    answered = {one.case for one in readings if one.reader == arbiter}
    done = answered >= set(cases) and (arbiter in facts.pressed or not at_page)
    finished = (*still.finished, arbiter) if done else still.finished
    return Waiting(() if done else (arbiter,), 0, finished, tuple(cases))


def asked(store: Store, round_id: str, reader: str) -> tuple[int, ...]:
    """The numbers of the cases that a reader is asked for at the page, in their order.

    The arbiter is asked for those in which the readers differ, once they have finished.
    """
    with store.read() as db:
        return asked_in(db, round_id, reader)


def asked_in(db: Connection, round_id: str, reader: str) -> tuple[int, ...]:
    """As `asked`, within a transaction."""
    table = schema.rounds.c
    query = select(table.epoch, table.settings).where(table.id == round_id)
    epoch, stored = db.execute(query).one()
    settings = RoundSettings.from_dict(stored)
    if reader != settings.panel.arbiter:
        return asked_numbers(settings, epoch, count_cases(db, round_id), reader)
    cases = schema.cases.c
    turn = cases.id.in_(waiting_in(db, round_id, at_page=True).disputed)
    return tuple(db.execute(select(cases.number).where(turn).order_by(cases.number)).scalars())


@dataclass(frozen=True)
class _Facts:
    """What decides for whom a round waits.

    Args:
        settings: of the round.
        at_page: whether it is read at a page.
        asked: reader -> numbers of the cases that they are asked for; of all who matter.
        linked: readers with a valid link.
        pressed: who has pressed that they are finished.
        finished: who has finished: by pressing or, without a page, by answering everything.
        begun: who has answered or looked at a case.
        left: who had a link, and has no valid one any more.
    """

    settings: RoundSettings
    at_page: bool
    asked: Mapping[str, frozenset[int]]
    linked: Sequence[str]
    pressed: Collection[str]
    finished: Collection[str]
    begun: Collection[str]
    left: Collection[str]


def _facts(db: Connection, round_id: str, *, at_page: bool) -> _Facts:
    table, finishes = schema.rounds.c, schema.finishes.c
    query = select(table.run, table.epoch, table.settings).where(table.id == round_id)
    run, epoch, stored = db.execute(query).one()
    settings = RoundSettings.from_dict(stored)
    panel, cases, read = settings.panel, count_cases(db, round_id), read_by(db, round_id)
    pressed = set(db.execute(select(finishes.reader).where(finishes.round == round_id)).scalars())
    valid = _linked(db, run)
    linked = [name for name in valid if name != panel.arbiter]
    left = _ever_invited(db, run) - set(valid)
    names = {*panel.readers, *linked, *read, *pressed} - {NOBODY, panel.arbiter}
    asked = {name: frozenset(asked_numbers(settings, epoch, cases, name)) for name in names}
    complete = {
        name
        for name in names & read.keys()
        if read[name] >= len(asked[name]) and not (at_page and name in linked)
    }
    finished = (pressed | complete) & names
    begun = {*read, *_looked(db, round_id)}
    return _Facts(settings, at_page, asked, linked, pressed, finished, begun, left)


def _readers_awaited(facts: _Facts) -> Waiting:
    """For which readers the round waits, the arbiter apart."""
    panel, finished = facts.settings.panel, facts.finished
    named = [name for name in panel.readers if not (facts.at_page and name in facts.left)]
    may_come = [name for name in dict.fromkeys([*named, *facts.linked]) if name not in finished]
    everybody = named if panel.readers else facts.linked if facts.at_page else []
    needed = panel.needed
    left = [
        name
        for name in may_come
        if (name in facts.begun and name in facts.linked) or (needed is None and name in everybody)
    ]
    more = 0
    if needed is not None:
        left, more = _for_quorum(facts, left, [one for one in named if one in may_come], needed)
    in_order = tuple(name for name in may_come if name in left)
    return Waiting(in_order, more, tuple(sorted(finished)))


def _for_quorum(
    facts: _Facts, left: list[str], named: Sequence[str], needed: int
) -> tuple[list[str], int]:
    """Who is waited for by name, and how many more readers, until each case has its readings.

    Args:
        left: who is waited for in any case.
        named: readers of the panel who have not finished.
        needed: how many readings a case needs.
    """
    numbers = set().union(*facts.asked.values()) or {0}
    lacking = {
        number: needed - sum(number in facts.asked[name] for name in facts.finished)
        for number in numbers
    }
    for number, lacks in lacking.items():
        candidates = [name for name in named if number in facts.asked[name]]
        if lacks > 0 and len(candidates) <= lacks:  # all of them are needed
            left += [name for name in candidates if name not in left]
    more = max(
        lacks - sum(number in facts.asked[name] for name in left)
        for number, lacks in lacking.items()
    )
    return left, max(0, more)


def _linked(db: Connection, run: str) -> list[str]:
    """The readers with a valid link, oldest first."""
    table = schema.invitations.c
    query = (
        select(table.name, table.used)
        .where(table.run == run, table.kind == "reader")
        .where(table.revoked.is_(None), table.expires > now())
        .order_by(table.created)
    )
    rows = db.execute(query).all()
    opened = {row.name for row in rows if row.name != AUTOMATIC or row.used is not None}
    names = dict.fromkeys(row.name for row in rows)
    return [name for name in names if name in opened or len(names) == 1]


def _ever_invited(db: Connection, run: str) -> set[str]:
    table = schema.invitations.c
    return set(db.execute(select(table.name).where(table.run == run)).scalars())


def read_by(db: Connection, round_id: str) -> dict[str, int]:
    """Reader to how many cases of the round they have answered."""
    readings = schema.readings.c
    query = (
        select(readings.reader, func.count(readings.case.distinct()))
        .join(schema.cases, schema.cases.c.id == readings.case)
        .where(schema.cases.c.round == round_id)
        .group_by(readings.reader)
    )
    return {row[0]: row[1] for row in db.execute(query)}


def readings_in(db: Connection, round_id: str) -> list[Reading]:
    """Every reading of a round, oldest first."""
    query = (
        select(schema.readings)
        .join(schema.cases, schema.cases.c.id == schema.readings.c.case)
        .where(schema.cases.c.round == round_id)
        .order_by(schema.readings.c.sequence)
    )
    return [reading_of(row) for row in db.execute(query).mappings()]


def _looked(db: Connection, round_id: str) -> set[str]:
    looks = schema.first_looks.c
    query = select(looks.reader).join(schema.cases, schema.cases.c.id == looks.case)
    return set(db.execute(query.where(schema.cases.c.round == round_id)).scalars())


def count_cases(db: Connection, round_id: str) -> int:
    """How many cases the round has."""
    query = select(func.count()).where(schema.cases.c.round == round_id)
    return int(db.execute(query).scalar_one())


def waiting_sentence(store: Store, round_id: str) -> str:
    """Who is waited for at a page, and how far each is: `Dr. Lee (1 of 3 cases read)`."""
    with store.read() as db:
        still, read = waiting_in(db, round_id, at_page=True), read_by(db, round_id)
        cases = count_cases(db, round_id)
    if still.over:
        return "a first reader"  # nobody is invited, and any reader can close the round
    names = [f"{name} ({read.get(name, 0)} of {cases} cases read)" for name in still.readers]
    return str(replace(still, readers=tuple(names)))
