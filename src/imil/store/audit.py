"""Who did what, when: rows that are only ever added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from imil.store import schema
from imil.store.clock import now
from imil.store.store import Store

What = Literal[
    "sign-in",
    "sign-out",
    "first look",
    "reading",
    "change",
    "refused",
    "finish",
    "close",
    "reopen",
    "merge",
    "invitation",
    "revocation",
    "protocol",
    "failed sign-in",
    "film opened",
    "export",
    "erasure",
]


@dataclass(frozen=True)
class Entry:
    """A line of the audit. It names cases by number, never by sample key."""

    at: str
    who: str
    what: str
    detail: str


def record(db: Connection, run: str, who: str, what: What, detail: str = "") -> None:
    """Add a line within a transaction, so that what is recorded and the record go together."""
    row = {"at": now(), "run": run, "who": who, "what": what, "detail": detail}
    db.execute(schema.audit.insert(), row)


def newest(store: Store, run: str, count: int = 200) -> list[Entry]:
    """The newest lines of a run, newest first; and failed sign-ins, which belong to no run."""
    table = schema.audit.c
    query = select(table.at, table.who, table.what, table.detail).where(table.run.in_((run, "")))
    with store.read() as db:
        rows = db.execute(query.order_by(table.sequence.desc()).limit(count)).mappings()
        return [Entry(**row) for row in rows]
