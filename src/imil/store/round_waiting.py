"""Who has finished a round, and who is still waited for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, select

from imil.cases import RoundSettings
from imil.reader_names import AUTOMATIC, NOBODY
from imil.store import schema
from imil.store.clock import now
from imil.store.store import Store


@dataclass(frozen=True)
class Waiting:
    """What keeps a round open.

    Args:
        readers: who must still finish, by name.
        more: how many more readers must finish; any reader counts.
        finished: who has finished.
    """

    readers: tuple[str, ...]
    more: int
    finished: tuple[str, ...]

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
        more = f"{self.more} more reader{'' if self.more == 1 else 's'}" if self.more else ""
        return " and ".join(filter(None, (", ".join(self.readers), more))) or "nobody"


def waiting(store: Store, round_id: str, *, at_page: bool = True) -> Waiting:
    """What keeps a round open.

    With `wait_for` in its settings, that many readers must finish; otherwise every reader with a
    valid link must. In both cases all who have begun are waited for, unless their link is revoked
    or expired. The link that a run gets by itself counts only where it was opened or is the only
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
    table, finishes = schema.rounds.c, schema.finishes.c
    query = select(table.run, table.settings).where(table.id == round_id)
    run, settings = db.execute(query).one()
    wait_for = RoundSettings.from_dict(settings).wait_for
    linked, cases, read = _linked(db, run), count_cases(db, round_id), read_by(db, round_id)
    pressed = db.execute(select(finishes.reader).where(finishes.round == round_id)).scalars()
    complete = {
        name
        for name, count in read.items()
        if count >= cases and name != NOBODY and not (at_page and name in linked)
    }
    finished = {*pressed, *complete}
    begun = {*read, *_looked(db, round_id)}
    all_linked = at_page and wait_for is None
    left = [name for name in linked if (all_linked or name in begun) and name not in finished]
    more = max(0, (wait_for or 0) - len(finished) - len(left))
    return Waiting(tuple(left), more, tuple(sorted(finished)))


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
