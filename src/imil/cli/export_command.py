"""`imil export`: every reading of a run as a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imil.cli.exit_codes import errors_as_exit_codes


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="The run's folder, its store, or the address of a database.", show_default=False
        ),
    ],
    as_: Annotated[
        Literal["csv", "json"], typer.Option("--as", help="Format of the table: csv or json.")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="the standard output")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Which run of the store; the newest if not given.")
    ] = None,
    suspected: Annotated[
        bool,
        typer.Option(
            "--suspects", help="Write the images whose label looks wrong to a reader, instead."
        ),
    ] = False,
) -> None:
    """Write every reading of a run: case, reader, answer, reason, times, first look.

    A changed answer has a row of its own; the column `final` marks the one that counts. The table
    can be given to `imil train --reader replay:FILE`.

    [bold]Examples[/bold]

        imil export runs/films-resnet18 --as csv --out readings.csv

        imil export runs/films-resnet18 --suspects --out suspects.csv
    """
    with errors_as_exit_codes():
        from imil.atomic_files import atomic_write
        from imil.output_text import log_line, terminal_text
        from imil.reading_export import (
            COLUMNS,
            as_csv,
            as_json,
            export_rows,
            record_export,
            unanswered_looks,
        )
        from imil.run_store import run_store
        from imil.store import Store
        from imil.store.find_run import find_run
        from imil.suspects import SUSPECT_COLUMNS, suspects

        found = run_store(source)
        store = Store(found.place, readonly=True)
        name = find_run(store, run or found.run)
        rows: list[Any] = suspects(store, name) if suspected else export_rows(store, name)
        columns, what = (
            (SUSPECT_COLUMNS, "suspected label errors") if suspected else (COLUMNS, "readings")
        )
        unanswered = 0 if suspected else unanswered_looks(store, name)
        record_export(store, name, "owner", f"{what}, as {as_}")
        store.close()
        text = as_csv(rows, columns) if as_ == "csv" else as_json(rows)
        if out is None:
            sys.stdout.write(terminal_text(text) if sys.stdout.isatty() else text)
        else:
            with atomic_write(out) as half:
                half.write_bytes(text.encode())
            line = f"{len(rows)} {what} of {name} are in {out}."
            print(log_line(line), file=sys.stderr)
        if unanswered:
            print(f"First looks without an answer, not in the table: {unanswered}", file=sys.stderr)
