"""Whether a file that calls itself a store is one: its schema, its pages, its images.

A store may come from anybody. Views and triggers are programs, which SQLite would run when a
table is read or written.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from imil.errors import StoreError
from imil.store.append_only import VERBS, trigger_sql
from imil.store.schema import APPEND_ONLY, HEAD, metadata

OTHER_TABLES = {"alembic_version", "sqlite_sequence"}


def check_schema(raw: sqlite3.Connection, path: Path, version: str) -> None:
    """Check that tables, columns, indexes and triggers are imil's, and that there are no views.

    Args:
        raw: a connection to the file.
        path: for the message.
        version: of its schema. One before `HEAD` may lack what a migration adds.
    Raises: StoreError: it holds something else.
    """
    ours = {trigger_sql(table, verb) for table in APPEND_ONLY for verb in VERBS}
    tables, indexes = set(metadata.tables) | OTHER_TABLES, _indexes()
    triggers = set()
    for kind, name, sql in raw.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "trigger":
            triggers.add(" ".join(str(sql).split()))
            expected = " ".join(str(sql).split()) in ours
        else:
            known = {"table": tables, "index": indexes}.get(kind, set())
            expected = name in known or (kind == "index" and sql is None)  # of a UNIQUE
        if not expected:
            raise _foreign(path, f"{kind} '{name}'")
    if version == HEAD:
        for lacking in sorted(ours - triggers):
            raise _foreign(path, f"no '{lacking.partition(' BEFORE ')[0]}'")
        _check_columns(raw, path)


def check_pages(raw: sqlite3.Connection, path: Path) -> None:
    """Raises: StoreError: the file is damaged."""
    (found,) = raw.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreError(
            f"the store {path} is damaged ({found}): restore it from a backup, imil.sqlite-wal "
            "included"
        )


def _check_columns(raw: sqlite3.Connection, path: Path) -> None:
    for table in metadata.tables.values():
        # hidden: generated columns, which are programs too
        rows = raw.execute(f"PRAGMA table_xinfo({table.name})").fetchall()
        present = {(row[1], bool(row[5]), row[6]) for row in rows}
        expected = {(column.name, column.primary_key, 0) for column in table.columns}
        for name, *_ in sorted(present ^ expected):
            raise _foreign(path, f"another column '{name}' in '{table.name}'")


def _indexes() -> set[str]:
    return {str(index.name) for table in metadata.tables.values() for index in table.indexes}


def _foreign(path: Path, what: str) -> StoreError:
    return StoreError(
        f"the store {path} has {what[:120]}, which no imil made: do not use this file; restore the "
        "store from a backup"
    )
