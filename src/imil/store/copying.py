"""Copying runs from one store into another, and a store into a file, with every row compared."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import IntegrityError

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
# columns that name a row by its run: `run`, `run@epoch` and `run@epoch#case`
OWN_NAMES = {"runs": "name", "rounds": "id", "cases": "id"}
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
    with target.write() as new:
        return _copy(source, new, target, run)


def copy_renamed(sources: Mapping[str, tuple[Store, str]], target: Store) -> dict[str, int]:
    """Copy the runs of several stores into one, all or none; returns how many rows there are.

    As `copy_runs`, but each run gets a name of its own: stores of a study name theirs alike.

    Args:
        sources: name in the target -> store and name of the run there.
        target: may hold other runs.
    Raises: StoreError: the target has a run of such a name, or its rows differ.
    """
    counted: Counter[str] = Counter()
    with target.write() as new:
        for name, (source, run) in sources.items():
            try:
                counted.update(_copy(source, new, target, run, name))
            except IntegrityError as error:  # of readings or links, whose ids are unique
                raise StoreError(
                    f"{target.path} already has rows of '{name}', in a run of another name: `imil "
                    "rounds` lists its runs; give another target"
                ) from error
    return dict(counted)


def _copy(
    source: Store, new: Connection, target: Store, run: str | None, name: str | None = None
) -> dict[str, int]:
    """Copy rows within a transaction, and compare them; `name` is that of the run from then on."""
    renaming = (run, name) if run is not None and name is not None else None
    with source.read() as old:
        _check_unused(new, target, _names(old) if run is None else [name or run])
        for table in schema.metadata.sorted_tables:
            for rows in _batches(_rows(old, table, run, renaming)):
                values = [{k: v for k, v in row.items() if k != NUMBER} for row in rows]
                made = insert(new, table)
                # an image may be there already, of another run
                made = made.on_conflict_do_nothing() if table is schema.images else made
                new.execute(made, values)
        for one in [run] if run is not None else _names(old):
            before, after = digests(old, one, renaming), digests(new, name or one)
            for table_name, expected in before.items():
                if after[table_name] != expected:
                    raise StoreError(
                        f"rows of '{table_name}' differ in {target.path} after the copy: nothing "
                        "was copied; try again, and report it if it stays so"
                    )
        counted = digests(old, run)
    return {table_name: len(rows) for table_name, rows in counted.items()}


def digests(db: Connection, run: str | None, renaming: tuple[str, str] | None = None) -> Digests:
    """A digest of each row of a run, in the order of their numbers; without numbers, sorted.

    Args:
        run: its name; None: all rows.
        renaming: the run's name, and the one that the rows are to have.
    """
    result: Digests = defaultdict(list)
    for table in schema.metadata.sorted_tables:
        result[table.name] += [_digest(row) for row in _rows(db, table, run, renaming)]
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


def _check_unused(new: Connection, target: Store, names: Sequence[str]) -> None:
    taken = new.execute(select(schema.runs.c.name).where(schema.runs.c.name.in_(names)))
    found = taken.scalars().first()
    if found is not None:
        raise StoreError(
            f"the store {target.path} already has a run '{found}': give another target"
        )


def _names(db: Connection) -> list[str]:
    return list(db.execute(select(schema.runs.c.name)).scalars())


def _rows(
    db: Connection, table: Table, run: str | None, renaming: tuple[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    order: Iterable[Any] = [table.c[NUMBER]] if NUMBER in table.c else table.primary_key.columns
    query = select(table).where(of_run(table, run)).order_by(*order)
    result = db.execute(query, execution_options={"yield_per": BATCH})
    rows = (dict(row) for row in result.mappings())
    return rows if renaming is None else (_renamed(row, table, *renaming) for row in rows)


def _renamed(row: dict[str, Any], table: Table, run: str, name: str) -> dict[str, Any]:
    """The row with another name of its run, also within the names of rounds and cases."""
    columns = {"run", "round", "case", OWN_NAMES.get(table.name)}

    return {k: name + v.removeprefix(run) if k in columns else v for k, v in row.items()}


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
