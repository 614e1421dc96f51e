"""Inserting a reading, once: readings are never changed."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from imil.cases import Reading, RoundSettings
from imil.errors import RoundClosed, StoreError
from imil.square_text import signed_squares
from imil.store import schema
from imil.store.clock import closing_time, is_past
from imil.store.round_waiting import waiting_in
from imil.store.row_mapping import reading_of, reading_row
from imil.store.statements import insert

_ROUND = (
    select(
        schema.rounds.c.id,
        schema.rounds.c.settings,
        schema.rounds.c.state,
        schema.rounds.c.opened,
    )
    .join(schema.cases, schema.cases.c.round == schema.rounds.c.id)
    .where(schema.cases.c.id == bindparam("case_id"))
    # of PostgreSQL: until this transaction ends, no other reading of the round is stored, nobody
    # finishes it, and its state stays; numbers of readings grow in the order of their commits
    .with_for_update(of=schema.rounds, key_share=True)
)
_SAME = select(schema.readings).where(schema.readings.c.id == bindparam("reading_id"))


class IdTaken(StoreError):
    """The id of a reading belongs to another one, or to the same one with another answer."""


def insert_reading(db: Connection, reading: Reading) -> bool:
    """Insert a reading; returns whether it is new, False if the store has it already.

    Raises:
        RoundClosed: the round takes no more readings, or none of this reader now.
        IdTaken: the id belongs to another reading, or to another answer.
        StoreError: no such case.
        SquareError, SettingsError: the reading is invalid for the case's grid.
    """
    round_ = db.execute(_ROUND, {"case_id": reading.case}).mappings().one_or_none()
    if round_ is None:
        raise StoreError(f"there is no case '{reading.case}' in the store: name one of a round")
    settings = RoundSettings.from_dict(round_["settings"])
    checked = reading.checked(settings.grid)
    if _known(db, checked):
        return False
    if round_["state"] != "open":
        raise RoundClosed(
            f"round {round_['id']} is {round_['state']}: a reading can be added or changed "
            "only while it is open"
        )
    if is_past(closing_time(round_["opened"], settings.deadline)):
        raise RoundClosed(
            f"the deadline of round {round_['id']}, {settings.deadline}, has passed: a reading can "
            "be added or changed only before it"
        )
    if settings.panel.arbiter:
        _check_turn(db, round_["id"], settings.panel.arbiter, checked)
    new = insert(db, schema.readings).on_conflict_do_nothing()
    if not db.execute(
        new, reading_row(checked)
    ).rowcount:  # stored meanwhile in another round: the id is not its own
        _known(db, checked)
        return False
    return True


def _check_turn(db: Connection, round_id: str, arbiter: str, reading: Reading) -> None:
    """Readers read first, then the arbiter, where they differ. Raises: RoundClosed: out of turn."""
    turn = waiting_in(db, round_id, at_page=True).disputed
    if reading.reader == arbiter and reading.case not in turn:
        raise RoundClosed(
            f"the arbiter {arbiter} is asked for cases in which the readers differ, once all have "
            "finished: this is none of them now"
        )
    if reading.reader != arbiter and turn:
        raise RoundClosed(
            f"the readers have finished, and the arbiter {arbiter} decides where they differ: no "
            "answer can be added or changed now"
        )


def _known(db: Connection, reading: Reading) -> bool:
    """Whether this reading is stored already, with this answer. Raises: IdTaken: with another."""
    row = db.execute(_SAME, {"reading_id": reading.id}).mappings().one_or_none()
    if row is None:
        return False
    stored = reading_of(row)
    if (stored.case, stored.reader) != (reading.case, reading.reader):
        raise IdTaken(
            f"the id {reading.id} belongs to another reading: give every reading an id of its own"
        )
    if _answer(stored) != _answer(reading):
        given = signed_squares(stored.squares, stored.misleading) or stored.verdict
        raise IdTaken(
            f"a reading of this id is stored with another answer ({given}): submit the case again"
        )
    return True


def _answer(reading: Reading) -> tuple[object, ...]:
    marks = (reading.squares, reading.misleading, reading.squares_before)
    return (reading.verdict, *marks, reading.reason)
