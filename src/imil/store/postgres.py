"""Opening a store in a database of a PostgreSQL server: schema version, transactions, errors.

What SQLite orders by locking its file is ordered here by locks of the rows that transactions decide
by (`imil.store.statements`), at READ COMMITTED; reading sees one snapshot, at REPEATABLE READ.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import NullPool

from imil.errors import SettingsError, StoreBusy, StoreError
from imil.store.append_only import POSTGRES_VERBS, trigger_name
from imil.store.migrate import migrate
from imil.store.schema import APPEND_ONLY, HEAD, metadata
from imil.store.statements import Interrupted
from imil.store_address import DatabaseUrl

MAKING = 0x696D696C  # "imil": the advisory lock for making or migrating a store
CONNECT_TIMEOUT = 10  # seconds
RETRY_INTERVAL = 0.2  # seconds between attempts to connect
IDLE_TRANSACTION = 120  # seconds until the server ends a transaction of a process that hangs
# what a connection cannot be made for, whatever the language of the server's messages
REFUSALS = {
    r"password authentication failed|no password supplied|authentication failed": "refuses the "
    "user or the password: give the password in the URL, in PGPASSWORD or in ~/.pgpass",
    r"pg_hba\.conf": "lets this user from this machine not connect: see pg_hba.conf of the server",
    r'database ".*" does not exist': "has no such database: create it, as with `createdb`",
    r'role ".*" does not exist': "has no such user: create it, as with `createuser`",
    r"too many (clients|connections)|remaining connection slots": "has no connection left: end "
    "other programs, or raise max_connections",
    r"starting up|shutting down|in recovery mode": "is being started or stopped: try again",
    r"SSL|certificate": "has no encrypted connection as asked for: check sslmode and certificates",
}
BUSY = {  # codes of PostgreSQL, Appendix A, after which trying again may help
    "53100": "is on a full disk: free some space; every reading stored so far is safe",
    "53200": "is on a server without free memory: try again",
    "53300": "is on a server that has no connection left: try again",
    "55P03": "has been locked by another process for too long: end that process or try again",
}
BROKEN = {
    "25006": "is open for reading alone, or on a server that is: open it for writing",
    "42501": "may not be changed by this user: let the user that made the store own its tables",
    "42P01": "is not an imil store: give a database that imil made or an empty one",
    "22001": "cannot take a text that is too long: give shorter names",
    "22021": "cannot take this text: leave out characters that are not printable",
}
INTERRUPTIONS = ("40001", "40P01", "57P01", "57P02", "57P03", "25P03")


def connect(url: DatabaseUrl, *, readonly: bool = False, patience: float) -> Engine:
    """An engine on the store in that database; a new or an older one is brought to `HEAD` first.

    Args:
        url: of the database.
        readonly: open an existing store and change nothing.
        patience: seconds to wait for another process that is writing, or for the server.
    Raises: SettingsError: psycopg is not installed. StoreError: no server, no such database, wrong
        password; other tables are there, or a store of a newer imil.
    """
    engine = _engine(url, readonly=readonly, patience=patience)
    try:
        with database_errors(url), _first_connection(engine, url) as db:
            _prepare(db, url, readonly=readonly)
    except BaseException:
        engine.dispose()
        raise
    return engine


def schema_version(url: DatabaseUrl) -> str | None:
    """The schema version of an existing store; None where the database is empty.

    Raises: as `connect`.
    """
    engine = _engine(url, readonly=True, patience=0, poolclass=NullPool)
    with database_errors(url), _first_connection(engine, url) as db:
        return _checked_version(db, url)


def _prepare(db: Connection, url: DatabaseUrl, *, readonly: bool) -> None:
    """Bring the schema to `HEAD`, or check that it can be read as it is."""
    version = _checked_version(db, url)
    if version == HEAD:
        return
    if not readonly:
        db.commit()
        _make(db, url)
    elif version is None:
        raise StoreError(f"there is no store in {url}: start a run there with --store")
    else:
        raise StoreError(
            f"the store {url} has schema {version}, this imil needs {HEAD}: open it once with "
            "write access to bring it up to date"
        )


def _make(db: Connection, url: DatabaseUrl) -> None:
    """Make the schema or bring it up to date, all of it or nothing; one process at a time."""
    db = db.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)
    with db.begin():
        # waits for a process that is making the store; nothing is left to do then
        db.execute(text(f"SELECT pg_advisory_xact_lock({MAKING})"))
        if _checked_version(db, url) != HEAD:
            migrate(db)


def _engine(url: DatabaseUrl, *, readonly: bool, patience: float, **options: Any) -> Engine:
    address = make_url(url.text)
    if url.password is not None:
        address = address.set(password=url.password)
    if options.get("poolclass") is not NullPool:
        options["pool_pre_ping"] = True
    try:
        engine = create_engine(
            address,
            connect_args={}
            if "connect_timeout" in address.query
            else {"connect_timeout": CONNECT_TIMEOUT},
            execution_options={"readonly": readonly, "patience": patience},
            hide_parameters=True,
            **options,
        )
    except ImportError as error:
        raise SettingsError(
            f"a store in {url} needs psycopg: pip install 'imil[postgres]', or leave --store out"
        ) from error

    def prepare(connection: Any, _record: object) -> None:
        settings = {
            "lock_timeout": f"{max(1, round(patience * 1000))}ms" if patience else "0",
            "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION}s",
            "timezone": "UTC",
        }
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        # a confirmed reading is on the disk, also where the server's default is another
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


@contextmanager
def transaction(engine: Engine, url: DatabaseUrl, *, writes: bool = False) -> Iterator[Connection]:
    """One transaction: all of it is on disk afterwards, or nothing.

    Raises: StoreBusy: the server did not answer for as long as the engine's patience. Interrupted:
        it ended the transaction.
    """
    options = engine.get_execution_options()
    level = "READ COMMITTED" if writes else "REPEATABLE READ"
    with database_errors(url), _connected(engine, url, options["patience"]) as connection:
        db = connection.execution_options(
            isolation_level=level, postgresql_readonly=options["readonly"] or not writes
        )
        with db.begin():
            yield db


@contextmanager
def database_errors(url: DatabaseUrl) -> Iterator[None]:
    """Turn errors of the database into a `StoreError` with a remedy, never with a password."""
    try:
        yield
    except (json.JSONDecodeError, RecursionError) as error:  # of a column of JSON
        raise StoreError(
            f"the store {url} is damaged (a row is not what imil writes): restore it from a backup"
        ) from error
    except NoConnection as error:
        raise StoreBusy(f"the store {url} has no connection free: try again") from error
    except DBAPIError as error:
        code = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or code in INTERRUPTIONS or code.startswith("08"):
            raise Interrupted(
                f"the store {url} was interrupted by its server: try again; every reading so far "
                "is stored"
            ) from error
        for kind, remedies in ((StoreBusy, BUSY), (StoreError, BROKEN)):
            if code in remedies:
                raise kind(f"the store {url} {remedies[code]}") from error
        if "NUL" in str(error.orig):  # psycopg refuses it before the server does
            raise StoreError(f"the store {url} {BROKEN['22021']}") from error
        raise


@contextmanager
def _first_connection(engine: Engine, url: DatabaseUrl) -> Iterator[Connection]:
    """A connection without waiting for a server: before a training, a wrong address is said."""
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise _refusal(url, error) from error
    with connection:
        yield connection


@contextmanager
def _connected(engine: Engine, url: DatabaseUrl, patience: float) -> Iterator[Connection]:
    """A connection, as soon as the server answers: it may be restarted meanwhile."""
    end = time.monotonic() + patience
    with _connect(engine, url, end) as connection:
        yield connection


def _connect(engine: Engine, url: DatabaseUrl, end: float) -> Connection:
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            if time.monotonic() > end:
                raise _refusal(url, error) from error
        time.sleep(RETRY_INTERVAL)


def _refusal(url: DatabaseUrl, error: OperationalError) -> StoreError:
    message = str(error.orig)
    for pattern, remedy in REFUSALS.items():
        if re.search(pattern, message):
            return StoreBusy(f"the server of {url} {remedy}")
    return StoreBusy(f"no server answers at {url}: start it, or check host, port and the network")


def _checked_version(db: Connection, url: DatabaseUrl) -> str | None:
    """The version of the schema, which is imil's and whole; None where the database is empty."""
    tables = _tables(db)
    if not tables:
        return None
    ours = {*metadata.tables, "alembic_version"}
    if not {"alembic_version", "runs", "rounds"} <= tables:
        other = min(tables - ours) if tables - ours else min(tables)
        raise StoreError(
            f"the database {url} holds something else (table '{other[:80]}'): give an empty "
            "database, or another schema with ?options=-csearch_path%3DNAME"
        )
    version = str(db.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
    if not re.fullmatch(r"\d{4}", version):
        raise StoreError(f"the database {url} is not an imil store: give an empty database")
    if version > HEAD:
        raise StoreError(
            f"the store {url} has schema {version}, this imil knows {HEAD}: install a newer imil"
        )
    if version == HEAD:
        _check_schema(db, url)
    return version


def _tables(db: Connection) -> set[str]:
    """Tables and views in the schema where new tables would be made."""
    query = """
        SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
        ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    """
    return {str(row[0]) for row in db.execute(text(query))}


def _check_schema(db: Connection, url: DatabaseUrl) -> None:
    """Raises: StoreError: a column or a trigger of the schema is missing."""
    columns = """
        SELECT c.relname, a.attname FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND a.attnum > 0 AND NOT a.attisdropped
    """
    triggers = """
        SELECT t.tgname FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    """
    present = {tuple(row) for row in db.execute(text(columns))}
    expected = {(one.name, column.name) for one in metadata.tables.values() for column in one.c}
    lacking = [f"column '{name}' in '{table}'" for table, name in sorted(expected - present)]
    armed = {str(row[0]) for row in db.execute(text(triggers))}
    needed = {trigger_name(table, verb) for table in APPEND_ONLY for verb in POSTGRES_VERBS}
    lacking += [f"trigger '{name}'" for name in sorted(needed - armed)]
    if lacking:
        raise StoreError(
            f"the store {url} lacks the {lacking[0]}: restore it from a backup, or give another "
            "database"
        )
