"""Statements that SQLAlchemy writes for each database apart, and locks of rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from imil.cases import State
from imil.errors import StoreBusy
from imil.store import schema

P = ParamSpec("P")
T = TypeVar("T")


class Interrupted(StoreBusy):
    """The server has ended the transaction: all of it is stored, or nothing. Do it again."""


def retry_interrupted(transaction: Callable[P, T]) -> Callable[P, T]:
    """Repeat a whole transaction once, where the server was restarted or broke a deadlock.

    The function must give the same where its first attempt was stored after all.
    """

    @wraps(transaction)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return transaction(*args, **kwargs)
        except Interrupted:
            return transaction(*args, **kwargs)

    return call


def insert(db: Connection, table: Table) -> Any:
    """An INSERT that may be followed by ON CONFLICT; its `rowcount` says what was inserted."""
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    # inline: without the RETURNING that SQLAlchemy adds for PostgreSQL; rowcount would be -1
    return dialect.insert(table).inline().execution_options(preserve_rowcount=True)


def lock_round(db: Connection, round_id: str) -> State | None:
    """The state of a round, which no other transaction changes until this one ends.

    Readings, finishes and changes of state of a round thereby have one order. In SQLite the
    transaction that writes has the whole file.

    Returns: None: there is no such round.
    """
    table = schema.rounds.c
    query = select(table.state).where(table.id == round_id).with_for_update(key_share=True)
    state: State | None = db.execute(query).scalar_one_or_none()
    return state


def lock_run(db: Connection, run: str) -> None:
    """Let no other transaction open a round of the run until this one ends."""
    table = schema.runs.c
    db.execute(select(table.name).where(table.name == run).with_for_update(key_share=True))
