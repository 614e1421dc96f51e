"""Erasing a reader's name or a run from a store; the audit keeps what happened, without names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from imil.errors import StoreError
from imil.store import schema
from imil.store.append_only import changeable
from imil.store.audit import record
from imil.store.clock import now
from imil.store.run_rows import of_run
from imil.store.statements import Interrupted, retry_interrupted
from imil.store.store import Store

# lines of the audit whose detail may name a reader
NAMING = ("invitation", "revocation", "failed sign-in", "finish", "close", "merge")
ERASED = "erased"
ERASING = 0x65726173  # "eras": the advisory lock for erasing; one process at a time


def erase_reader(store: Store, name: str, run: str | None = None) -> str:
    """Erase a reader from a store; returns the name that the readings have now.

    Readings and first looks stay, under a number; reasons, which are free text, go. Links are
    revoked, sessions deleted, and the audit keeps each line under the number.

    Args:
        run: erase the reader from this run alone; None: from all runs.
    Raises: StoreError: the store knows no reader of that name.
    """
    number = _erase_reader(store, name, run)
    store.compact()
    return number


@retry_interrupted
def _erase_reader(store: Store, name: str, run: str | None) -> str:
    with store.write() as db:
        _let_no_other_erase(db)
        runs = [one for one in _runs_of(db, name) if run in (None, one)]
        if not runs:
            raise StoreError(f"the store {store.path} has no reader '{name}': see `imil rounds`")
        number = _unused_number(db)
        with changeable(db):
            for table in schema.metadata.sorted_tables:
                if "reader" in table.c:
                    values = {"reader": number} | ({"reason": ""} if "reason" in table.c else {})
                    of_reader = and_(table.c.reader == name, of_run(table, run))
                    db.execute(update(table).where(of_reader).values(**values))
            _rename_in_audit(db, name, number, run)
        _rename_in_settings(db, name, number, run)
        links = schema.invitations
        of_reader = and_(links.c.name == name, of_run(links, run))
        sessions = schema.sessions
        linked = select(links.c.id).where(of_reader)
        db.execute(delete(sessions).where(sessions.c.invitation.in_(linked)))
        revoked = update(links).where(of_reader, links.c.revoked.is_(None))
        db.execute(revoked.values(revoked=now()))
        db.execute(update(links).where(of_reader).values(name=number))
        for one in runs:
            record(db, one, "owner", "erasure", f"reader, now '{number}'")
    return number


def erase_run(store: Store, run: str) -> None:
    """Erase a run: cases, images, readings, links, results; the audit keeps its lines, nameless.

    An image that another run of the store shows stays.

    Raises: StoreError: the store has no such run.
    """
    _erase_run(store, run)
    store.compact()


@retry_interrupted
def _erase_run(store: Store, run: str) -> None:
    with store.write() as db:
        _let_no_other_erase(db)
        known = db.execute(select(schema.runs.c.name).where(schema.runs.c.name == run)).first()
        if known is None:
            raise StoreError(f"the store {store.path} has no run '{run}': see `imil rounds`")
        try:
            _delete_run(db, run)
        except IntegrityError as error:  # its training, or another run's, has added to it meanwhile
            raise Interrupted(
                f"the store {store.path} is being written by another process: end the training of "
                f"'{run}', and try again"
            ) from error
        record(db, ERASED, "owner", "erasure", "run")


def _delete_run(db: Connection, run: str) -> None:
    audit = schema.audit
    with changeable(db):
        nameless = {"run": ERASED, "who": ERASED, "detail": ""}
        db.execute(update(audit).where(audit.c.run == run).values(**nameless))
        for table in reversed(schema.metadata.sorted_tables):  # what refers to others first
            if table not in (audit, schema.runs, schema.images):
                db.execute(delete(table).where(of_run(table, run)))
    db.execute(delete(schema.runs).where(schema.runs.c.name == run))
    shown = select(schema.cases.c.image)
    db.execute(delete(schema.images).where(schema.images.c.sha256.not_in(shown)))


def _let_no_other_erase(db: Connection) -> None:
    """Two erasures must not take the same number. SQLite has one writer in any case."""
    if db.dialect.name != "sqlite":
        db.execute(text(f"SELECT pg_advisory_xact_lock({ERASING})"))


def _runs_of(db: Connection, name: str) -> list[str]:
    """The runs in which a person of that name has a reading or a link."""
    read = (
        select(schema.rounds.c.run)
        .join(schema.cases, schema.cases.c.round == schema.rounds.c.id)
        .join(schema.readings, schema.readings.c.case == schema.cases.c.id)
        .where(schema.readings.c.reader == name)
    )
    invited = select(schema.invitations.c.run).where(schema.invitations.c.name == name)
    return sorted({row[0] for query in (read, invited) for row in db.execute(query)})


def _unused_number(db: Connection) -> str:
    """`erased reader 1`, or the first number that no reader has."""
    table = schema.readings.c
    taken = {row[0] for row in db.execute(select(table.reader).distinct())}
    taken |= {row[0] for row in db.execute(select(schema.invitations.c.name))}
    taken |= {row[0] for row in db.execute(select(schema.audit.c.who).distinct())}
    number = 1
    while f"erased reader {number}" in taken:
        number += 1
    return f"erased reader {number}"


def _rename_in_audit(db: Connection, name: str, number: str, run: str | None) -> None:
    """Replace the name of who did something, and in lines about the person's links."""
    table = schema.audit
    db.execute(update(table).where(table.c.who == name, of_run(table, run)).values(who=number))
    about = select(table.c.sequence, table.c.detail).where(
        table.c.what.in_(NAMING), of_run(table, run)
    )
    for sequence, detail in db.execute(about).all():
        if name in detail:
            changed = update(table).where(table.c.sequence == sequence)
            db.execute(changed.values(detail=detail.replace(name, number)))


def _rename_in_settings(db: Connection, name: str, number: str, run: str | None) -> None:
    """Replace the name among the readers of runs and rounds."""
    for table, key in ((schema.runs, schema.runs.c.name), (schema.rounds, schema.rounds.c.id)):
        for row in db.execute(select(key, table.c.settings).where(of_run(table, run))).all():
            changed = renamed(row.settings, name, number)
            if changed != row.settings:
                db.execute(update(table).where(key == row[0]).values(settings=changed))


def renamed(value: Any, name: str, number: str) -> Any:
    """The value of JSON or TOML with each text that is the name replaced."""
    if isinstance(value, dict):
        return {key: renamed(one, name, number) for key, one in value.items()}
    if isinstance(value, list):
        return [renamed(one, name, number) for one in value]
    return number if value == name else value
