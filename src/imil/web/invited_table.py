"""Many links at once: a table of readers in, the same table with a link for each out."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from pathlib import Path

from imil.errors import SettingsError
from imil.output_text import csv_cell
from imil.reader_names import OWNER
from imil.run_store import run_store
from imil.store import Store
from imil.store.find_run import find_run
from imil.store.invitations import check_name, invitations, invite
from imil.store.run_progress import Progress
from imil.web.app import find_store
from imil.web.server import PORT, check_url

NAME, LINK, EXPIRES = "name", "link", "expires"


def invite_table(source: str, table: Path, *, run: str | None, days: float, url: str | None) -> str:
    """The table as CSV, with a new link for each row; every name is checked before the first link.

    Args:
        source: the run's folder, its store, or the address of a database.
        table: a CSV file with a column `name`; other columns are kept.
        run: name of the run, where the store has several.
        days: until the links expire.
        url: of the reading room; None: the one served last.
    Raises: SettingsError, StoreError: a name is invalid, twice in the table, or has a valid link.
    """
    if url is not None:
        check_url("--url", url)
    columns, rows = _read(table)
    with closing(Store(find_store(source))) as store:
        name = find_run(store, run or run_store(source).run)
        linked = {one.name for one in invitations(store, name) if one.good}
        for number, row in enumerate(rows, start=2):
            row[NAME] = _checked(row[NAME], number, table)
            if row[NAME] in linked:
                raise SettingsError(
                    f"{table} line {number}: '{row[NAME]}' has a valid link, or is in the table "
                    "twice: take the line out, or revoke that link"
                )
            linked.add(row[NAME])
        address = url or Progress(store).address(name) or f"http://127.0.0.1:{PORT}"
        for row in rows:
            made, secret = invite(store, name, row[NAME], days=days, by=OWNER)
            row |= {LINK: f"{address.rstrip('/')}/in/{secret}", EXPIRES: made.expires[:10]}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*columns, LINK, EXPIRES])
    writer.writeheader()
    writer.writerows({key: csv_cell(cell) for key, cell in row.items()} for row in rows)
    return text.getvalue()


def _read(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of the table and its rows. Raises: SettingsError: it cannot be used."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise SettingsError(
            f"{table} cannot be read as CSV ({error}): give another file"
        ) from error
    taken = {LINK, EXPIRES} & {str(column) for column in columns}
    if NAME not in columns or taken or len(set(columns)) < len(columns):
        found = ", ".join(map(str, columns)) or "none"
        raise SettingsError(
            f"{table} has the columns {found}: expected one called {NAME}, none "
            f"called {LINK} or {EXPIRES}, and none twice"
        )
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise SettingsError(f"{table} line {number} has more or fewer cells than columns")
    if not rows:
        raise SettingsError(f"{table} names nobody: give a line for each reader")
    return columns, rows


def _checked(name: str, number: int, table: Path) -> str:
    try:
        return check_name(name, "reader")
    except SettingsError as error:
        raise SettingsError(f"{table} line {number}: {error}") from error
