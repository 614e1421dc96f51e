"""Erasing a reader's name or a run from a store; the audit keeps what happened, without names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, select, text, update

from imil.errors import StoreError
from imil.store import schema
from imil.store.audit import record
from imil.store.clock import now
from imil.store.integrity import trigger_sql
from imil.store.store import Store

VERBS = ("UPDATE", "DELETE")
# lines of the audit whose detail may name a reader
NAMING = ("invitation", "revocation", "failed sign-in", "finish", "close", "merge")
ERASED = "erased"


def erase_reader(store: Store, name: str) -> str:
    """Erase a reader from all runs of a store; returns the name that the readings have now.

    Readings and first looks stay, under a number; reasons, which are free text, go. Links are
    revoked, sessions deleted, and the audit keeps each line under the number.

    Raises: StoreError: the store knows no reader of that name.
    """
    with store.write() as db:
        runs = _runs_of(db, name)
        if not runs:
            raise StoreError(f"the store {store.path} has no reader '{name}': see `imil rounds`")
        number = _unused_number(db)
        with _changeable(db):
            for table in schema.metadata.sorted_tables:
                if "reader" in table.c:
                    values = {"reader": number} | ({"reason": ""} if "reason" in table.c else {})
                    db.execute(update(table).where(table.c.reader == name).values(**values))
            _rename_in_audit(db, name, number)
        _rename_in_settings(db, name, number)
        links = schema.invitations
        of_reader = select(links.c.id).where(links.c.name == name)
        db.execute(delete(schema.sessions).where(schema.sessions.c.invitation.in_(of_reader)))
        revoked = update(links).where(links.c.name == name, links.c.revoked.is_(None))
        db.execute(revoked.values(revoked=now()))
        db.execute(update(links).where(links.c.name == name).values(name=number))
        for run in runs:
            record(db, run, "owner", "erasure", f"reader, now '{number}'")
    store.compact()
    return number


def erase_run(store: Store, run: str) -> None:
    """Erase a run: cases, images, readings, links, results; the audit keeps its lines, nameless.

    An image that another run of the store shows stays.

    Raises: StoreError: the store has no such run.
    """
    with store.write() as db:
        known = db.execute(select(schema.runs.c.name).where(schema.runs.c.name == run)).first()
        if known is None:
            raise StoreError(f"the store {store.path} has no run '{run}': see `imil rounds`")
        rounds = select(schema.rounds.c.id).where(schema.rounds.c.run == run)
        cases = select(schema.cases.c.id).where(schema.cases.c.round.in_(rounds))
        links = select(schema.invitations.c.id).where(schema.invitations.c.run == run)
        belongs: dict[str, Any] = {
            "case": cases,
            "round": rounds,
            "invitation": links,
            "run": [run],
        }
        with _changeable(db):
            audit = schema.audit
            nameless = {"run": ERASED, "who": ERASED, "detail": ""}
            db.execute(update(audit).where(audit.c.run == run).values(**nameless))
            for table in reversed(schema.metadata.sorted_tables):  # what refers to others first
                column = next((name for name in belongs if name in table.c), None)
                if column is not None and table is not audit:
                    db.execute(delete(table).where(table.c[column].in_(belongs[column])))
        db.execute(delete(schema.runs).where(schema.runs.c.name == run))
        shown = select(schema.cases.c.image)
        db.execute(delete(schema.images).where(schema.images.c.sha256.not_in(shown)))
        record(db, ERASED, "owner", "erasure", "run")
    store.compact()


@contextmanager
def _changeable(db: Connection) -> Iterator[None]:
    """A block in which rows that are only ever added may be changed, within one transaction."""
    both = [(table, verb) for table in schema.APPEND_ONLY for verb in VERBS]
    for table, verb in both:
        db.execute(text(f"DROP TRIGGER {table}_no_{verb.lower()}"))
    yield  # an error undoes the transaction, and this with it
    for table, verb in both:
        db.execute(text(trigger_sql(table, verb)))


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


def _rename_in_audit(db: Connection, name: str, number: str) -> None:
    """Replace the name of who did something, and in lines that name readers."""
    table = schema.audit
    db.execute(update(table).where(table.c.who == name).values(who=number))
    about = select(table.c.sequence, table.c.detail).where(table.c.what.in_(NAMING))
    for sequence, detail in db.execute(about).all():
        if name in detail:
            changed = update(table).where(table.c.sequence == sequence)
            db.execute(changed.values(detail=detail.replace(name, number)))


def _rename_in_settings(db: Connection, name: str, number: str) -> None:
    """Replace the name among the readers of runs and rounds."""
    for table, key in ((schema.runs, schema.runs.c.name), (schema.rounds, schema.rounds.c.id)):
        for row in db.execute(select(key, table.c.settings)).all():
            changed = _renamed(row.settings, name, number)
            if changed != row.settings:
                db.execute(update(table).where(key == row[0]).values(settings=changed))


def _renamed(value: Any, name: str, number: str) -> Any:
    """The JSON value with each text that is the name replaced."""
    if isinstance(value, dict):
        return {key: _renamed(one, name, number) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, name, number) for one in value]
    return number if value == name else value
