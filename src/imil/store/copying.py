"""Copying runs from one store into another, and a store into a file, with every row compared."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from imil.atomic_files import atomic_write
from imil.errors import StoreError
from imil.store import schema
from imil.store.database import database_errors
from imil.store.row_mapping import inflate
from imil.store.run_rows import of_run
from imil.store.statements import insert
from imil.store.store import Store

BATCH = 8  # rows that are in memory at a time; an image may have many megabytes
NUMBER = "sequence"  # of a row in its store; another store gives another
Digests = dict[str, list[str]]  # table to a digest of each row


def copy_runs(source: Store, target: Store, run: str | None = None) -> dict[str, int]:
    """Copy a run, or all, into another store; returns how many rows each table got.

    Nothing is copied where something fails. After the copy, every row of the run is read from both
    stores and compared; the order of readings, first looks, results and audit too.

    Args:
        source: left as it is.
        target: may hold other runs.
        run: name of the run; None: all runs, and the audit of what belongs to no run.
    Raises: StoreError: the target has a run of that name, or its rows differ.
    """
    with source.read() as old, target.write() as new:
        _check_unused(old, new, target, run)
        for table in schema.metadata.sorted_tables:
            for rows in _batches(_rows(old, table, run)):
                values = [{k: v for k, v in row.items() if k != NUMBER} for row in rows]
                made = insert(new, table)
                # an image may be there already, of another run
                made = made.on_conflict_do_nothing() if table is schema.images else made
                new.execute(made, values)
        names = [run] if run is not None else _names(old)
        for name in names:
            before, after = digests(old, name), digests(new, name)
            for table_name, expected in before.items():
                if after[table_name] != expected:
                    raise StoreError(
                        f"rows of '{table_name}' differ in {target.path} after the copy: nothing "
                        "was copied; try again, and report it if it stays so"
                    )
        counted = digests(old, run)
    return {name: len(rows) for name, rows in counted.items()}


def digests(db: Connection, run: str | None) -> Digests:
    """A digest of each row of a run, in the order of their numbers; without numbers, sorted.

    Args:
        run: its name; None: all rows.
    """
    result: Digests = defaultdict(list)
    for table in schema.metadata.sorted_tables:
        result[table.name] += [_digest(row) for row in _rows(db, table, run)]
        if NUMBER not in table.c:
            result[table.name].sort()
    return result


def back_up(source: Store, file: Path, run: str | None = None) -> None:
    """Copy a store into a new SQLite file, as it is at one moment, while others write to it.

    Args:
        run: of a database, this run alone.
    Raises: StoreError: the file exists, or cannot be written.
    """
    if file.exists():
        raise StoreError(f"{file} exists: give the name of a new file")
    with atomic_write(file) as half:
        if isinstance(source.path, Path):
            with database_errors(source.path):
                with closing(sqlite3.connect(source.path)) as old:
                    with closing(sqlite3.connect(half)) as new:
                        old.backup(new)
            return
        half.unlink(missing_ok=True)
        with closing(Store(half)) as made:
            copy_runs(source, made, run)


def _check_unused(old: Connection, new: Connection, target: Store, run: str | None) -> None:
    names = [run] if run is not None else _names(old)
    taken = new.execute(select(schema.runs.c.name).where(schema.runs.c.name.in_(names)))
    found = taken.scalars().first()
    if found is not None:
        raise StoreError(
            f"the store {target.path} already has a run '{found}': give another target"
        )


def _names(db: Connection) -> list[str]:
    return list(db.execute(select(schema.runs.c.name)).scalars())


def _rows(db: Connection, table: Table, run: str | None) -> Iterator[dict[str, Any]]:
    order: Iterable[Any] = [table.c[NUMBER]] if NUMBER in table.c else table.primary_key.columns
    query = select(table).where(of_run(table, run)).order_by(*order)
    result = db.execute(query, execution_options={"yield_per": BATCH})
    return (dict(row) for row in result.mappings())


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _digest(row: dict[str, Any]) -> str:
    """A digest of a row without its number; of pixels, as they are shown."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        if name == "pixels":
            value = inflate(value, row["dtype"], row["shape"]).tobytes()
        if name != NUMBER:
            is_data = isinstance(value, bytes)
            values[name] = hashlib.sha256(value).hexdigest() if is_data else value
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def total(counts: dict[str, int], tables: Sequence[str] = ("rounds", "cases", "readings")) -> str:
    """The numbers of rows that a person counts, as in `2 rounds, 40 cases, 80 readings`."""
    return ", ".join(f"{counts[name]} {name}" for name in tables)
