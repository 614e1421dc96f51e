"""Opening a store: journal, safety, schema version, and errors in one sentence.

A SQLite file is opened here, a database of a PostgreSQL server in `imil.store.postgres`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from imil.errors import StoreBusy, StoreError
from imil.store.creation import create
from imil.store.integrity import check_schema
from imil.store.migrate import migrate
from imil.store.schema import HEAD
from imil.store_address import DatabaseUrl, Location

BUSY_TIMEOUT = 30  # seconds to wait for another process that is writing
TRANSIENT = (
    "full",
    "readonly",
    "read-only",
    "locked",
    "I/O",
)  # may pass: try later
# what an older store that may not be changed is read through; in a connection's own temporary part
_NOBODY_FINISHED = "CREATE TEMP VIEW finishes AS SELECT '' round, '' reader, '' at WHERE 0"
_NO_GEOMETRY = "CREATE TEMP VIEW cases AS SELECT *, NULL AS geometry FROM main.cases"
READ_THROUGH = {
    "0002": (
        "CREATE TEMP VIEW readings AS SELECT *, '[]' AS misleading FROM main.readings",
        _NOBODY_FINISHED,
        _NO_GEOMETRY,
    ),
    "0003": (_NOBODY_FINISHED, _NO_GEOMETRY),
    "0004": (_NO_GEOMETRY,),
}
REMEDIES = {
    "full": "is on a full disk: free some space; every reading stored so far is safe",
    "readonly": "cannot be written: check the permissions of the file and of its folder",
    "read-only": "cannot be written: check the permissions of the file and of its folder",
    "locked": "has been locked by another process for too long: end that process or try again",
    "locking protocol": "is on a file system without file locks, as NFS may be: keep it on a local "
    "disk, or mount that with locks (NFS 4, or lockd for NFS 3)",
    "I/O": "is on a disk that does not answer: check the disk, then try again",
    "unable to open": "cannot be opened: check that its folder exists and can be written",
    "not a database": "is not an imil store: give the imil.sqlite of a run",
    "malformed": "is damaged: restore it from a backup, imil.sqlite-wal included",
    "Could not decode": "is damaged: restore it from a backup, imil.sqlite-wal included",
    "because it is a view": "is open for reading alone and cannot be written: open it for writing",
    "no such table": "is not an imil store: give the imil.sqlite of a run",
}


def connect(path: Location, *, readonly: bool = False, patience: float = BUSY_TIMEOUT) -> Engine:
    """An engine on the store at `path`; a new or an older one is brought to `HEAD` first.

    A new store appears with its whole schema, or not at all.

    Args:
        path: the SQLite file, or the address of a database.
        readonly: open an existing store and change nothing; one of the schema before `HEAD` too.
        patience: seconds to wait for another process that is writing.
    Raises: StoreError: not a store, made by a newer imil or by another program, too old, damaged,
        or not writable. SettingsError: it needs a package that is not installed.
    """
    if isinstance(path, DatabaseUrl):
        made: Engine = _postgres().connect(path, readonly=readonly, patience=patience)
        return made
    if not readonly and not path.exists():
        create(path, lambda half: _make(half, patience))
    version = schema_version(path)
    if readonly and version != HEAD and version not in READ_THROUGH:
        raise StoreError(
            f"the store {path} has schema {version or 'none'}, this imil needs {HEAD}: "
            "open it once with write access to bring it up to date"
        )
    engine = _engine(path, version, readonly=readonly, patience=patience)
    if version != HEAD and not readonly:
        with database_errors(path):
            _migrate(engine)
        schema_version(path)  # an older store may have had more than a migration looks at
    return engine


def _make(path: Path, patience: float) -> None:
    """Make a complete store of an empty file."""
    engine = _engine(path, None, readonly=False, patience=patience)
    with database_errors(path):
        _migrate(engine)
    engine.dispose()  # the last connection writes the journal into the file


def _engine(path: Path, version: str | None, *, readonly: bool, patience: float) -> Engine:
    mode = "ro" if readonly else "rw"  # a store that is deleted later is not made anew, empty
    engine = create_engine(
        URL.create("sqlite", database=str(path.absolute())),
        creator=lambda: _raw(path, mode, patience),
    )

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is sent explicitly, see `begin`
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        if not readonly:
            # of a new file: images of many megabytes are written in half of the time
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # on disk before the user is told so
        elif version in READ_THROUGH:
            for view in READ_THROUGH[version]:
                connection.execute(view)

    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock at once: a reader that turns writer could deadlock.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


@contextmanager
def transaction(engine: Engine, path: Location, *, writes: bool = False) -> Iterator[Connection]:
    """One transaction: all of it is on disk afterwards, or nothing."""
    if isinstance(path, DatabaseUrl):
        with _postgres().transaction(engine, path, writes=writes) as connection:
            yield connection
        return
    with database_errors(path), engine.connect().execution_options(writes=writes) as connection:
        with connection.begin():
            yield connection


@contextmanager
def database_errors(path: Location) -> Iterator[None]:
    """Turn database errors into a `StoreError` with a remedy."""
    if isinstance(path, DatabaseUrl):
        with _postgres().database_errors(path):
            yield
        return
    try:
        yield
    except (json.JSONDecodeError, RecursionError) as error:  # of a column of JSON
        raise damaged_row(path, "a row is not what imil writes") from error
    except DBAPIError as error:
        message = str(error.orig)
        for sign, remedy in REMEDIES.items():
            if sign in message:
                kind = StoreBusy if sign in TRANSIENT else StoreError
                raise kind(f"the store {path} {remedy}") from error
        raise


def damaged_row(path: Location, what: str) -> StoreError:
    """The error of a store with content that no imil wrote."""
    journal = "" if isinstance(path, DatabaseUrl) else ", imil.sqlite-wal included"
    return StoreError(f"the store {path} is damaged ({what}): restore it from a backup{journal}")


def _postgres() -> ModuleType:
    # imported here: a store in a file needs none of it
    from imil.store import postgres

    return postgres


def _raw(path: Path, mode: str, patience: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    # as_uri escapes what a path may hold and a URI may not
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    if mode == "ro" and _is_at_rest(uri, path):
        uri += "&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=patience, check_same_thread=False)


def _is_at_rest(uri: str, path: Path) -> bool:
    """Whether no process can be writing, and SQLite cannot create the files that reading needs."""
    journal = path.with_name(f"{path.name}-wal")
    if journal.exists() and journal.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(uri, uri=True)) as raw:
            raw.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        return any(sign in str(error) for sign in ("readonly", "unable to open"))
    return False


def schema_version(path: Location) -> str | None:
    """The schema version of an existing store; None where there is no schema. Changes nothing.

    A file without a schema was left by a process that was killed while it made the store.

    Raises: StoreError: it is not a store, is damaged, or another program or a newer imil made it.
    """
    if isinstance(path, DatabaseUrl):
        version: str | None = _postgres().schema_version(path)
        return version
    with database_errors(path):
        return _checked_version(path)


def _checked_version(path: Path) -> str | None:
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder: give a file in it")
    if not path.exists() or not path.stat().st_size:
        return None
    raw = _raw(path, "ro")
    try:
        tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master")}
        if not tables:  # another process is making it
            return None
        row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
        version = str(row[0]) if row else ""
        if version <= HEAD:
            check_schema(raw, path, version)
    except sqlite3.Error as error:
        raise DBAPIError(None, None, error) from error
    finally:
        raw.close()
    if not version:
        raise damaged_row(path, "the version of its schema is missing")
    if version > HEAD:
        raise StoreError(
            f"the store {path} has schema {version[:40]}, this imil knows {HEAD}: install a newer "
            "imil"
        )
    return version


def _migrate(engine: Engine) -> None:
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        # under the write lock: if another process was faster, nothing is left to do
        migrate(connection)
