"""Inserting a reading, once: readings are never changed."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from imil.cases import Reading, RoundSettings
from imil.errors import RoundClosed, StoreError
from imil.store import schema
from imil.store.row_mapping import reading_row

_ROUND = (
    select(schema.rounds.c.id, schema.rounds.c.settings, schema.rounds.c.state)
    .join(schema.cases, schema.cases.c.round == schema.rounds.c.id)
    .where(schema.cases.c.id == bindparam("case_id"))
)
_SAME = select(schema.readings.c.case, schema.readings.c.reader).where(
    schema.readings.c.id == bindparam("reading_id")
)


class IdTaken(StoreError):
    """The id of a reading belongs to another one."""


def insert_reading(db: Connection, reading: Reading) -> bool:
    """Insert a reading; returns whether it is new, False if the store has it already.

    Raises:
        RoundClosed: the round takes no more readings.
        IdTaken: the id belongs to another reading.
        StoreError: no such case.
        SquareError, SettingsError: the reading is invalid for the case's grid.
    """
    round_ = db.execute(_ROUND, {"case_id": reading.case}).mappings().one_or_none()
    if round_ is None:
        raise StoreError(f"there is no case '{reading.case}' in the store: name one of a round")
    checked = reading.checked(RoundSettings.from_dict(round_["settings"]).grid)
    if _known(db, reading):
        return False
    if round_["state"] != "open":
        raise RoundClosed(
            f"round {round_['id']} is {round_['state']}: a reading can be added or changed "
            "only while it is open"
        )
    db.execute(schema.readings.insert(), reading_row(checked))
    return True


def _known(db: Connection, reading: Reading) -> bool:
    """Whether this reading is stored already; its id must not belong to another reading."""
    row = db.execute(_SAME, {"reading_id": reading.id}).one_or_none()
    if row is not None and tuple(row) != (reading.case, reading.reader):
        raise IdTaken(
            f"the id {reading.id} belongs to another reading: give every reading an id of its own"
        )
    return row is not None
