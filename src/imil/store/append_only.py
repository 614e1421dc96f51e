"""Triggers that keep rows from being changed or deleted, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from imil.store.schema import APPEND_ONLY

VERBS = ("UPDATE", "DELETE")
POSTGRES_VERBS = (*VERBS, "TRUNCATE")
ERASING = "imil.erasing"  # a setting of a transaction that may change such rows
# the code of a violated constraint: both databases then raise the same kind of error
POSTGRES_FUNCTION = f"""
CREATE OR REPLACE FUNCTION imil_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF current_setting('{ERASING}', true) = 'on' THEN
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = '23000';
END
$body$
"""


def trigger_name(table: str, verb: str) -> str:
    """The name of the trigger that refuses the verb."""
    return f"{table}_no_{verb.lower()}"


def trigger_sql(table: str, verb: str) -> str:
    """The trigger that keeps rows of the table from being changed, for SQLite."""
    return (
        f"CREATE TRIGGER {trigger_name(table, verb)} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{_message(table)}'); END"
    )


def protection(table: str, dialect: str) -> list[str]:
    """The statements that make a table append-only, for a migration.

    Args:
        table: its name.
        dialect: `sqlite` or `postgresql`.
    """
    if dialect == "sqlite":
        return [trigger_sql(table, verb) for verb in VERBS]
    return [POSTGRES_FUNCTION, *(_postgres_trigger(table, verb) for verb in POSTGRES_VERBS)]


@contextmanager
def changeable(db: Connection) -> Iterator[None]:
    """A block in which rows that are only ever added may be changed, within one transaction."""
    if db.dialect.name != "sqlite":
        # of this transaction alone: others cannot change rows meanwhile
        db.execute(text(f"SET LOCAL {ERASING} = 'on'"))
        yield
        db.execute(text(f"SET LOCAL {ERASING} = 'off'"))
        return
    both = [(table, verb) for table in APPEND_ONLY for verb in VERBS]
    for table, verb in both:
        db.execute(text(f"DROP TRIGGER {trigger_name(table, verb)}"))
    yield  # an error undoes the transaction, and this with it
    for table, verb in both:
        db.execute(text(trigger_sql(table, verb)))


def _message(table: str) -> str:
    return f"{'readings are' if table == 'readings' else f'{table} is'} append-only"


def _postgres_trigger(table: str, verb: str) -> str:
    each = "STATEMENT" if verb == "TRUNCATE" else "ROW"
    return (
        f"CREATE TRIGGER {trigger_name(table, verb)} BEFORE {verb} ON {table} FOR EACH {each} "
        f"EXECUTE FUNCTION imil_refuse_change('{_message(table)}')"
    )
