"""`imil rounds`: the cases of a run, and their readings."""

from __future__ import annotations

from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes


def rounds(
    run: Annotated[
        str,
        typer.Argument(
            help="The run's folder, its store, or the address of a database.", show_default=False
        ),
    ],
    agreement: Annotated[
        bool,
        typer.Option(
            "--agreement", help="Show how far the readers of each round agree, instead of cases."
        ),
    ] = False,
) -> None:
    """Show the rounds of a run, their cases, and how each was read.

    [bold]Examples[/bold]

        imil rounds runs/films-resnet18

        imil rounds runs/films-resnet18 --agreement
    """
    with errors_as_exit_codes():
        from imil.agreement_tables import agreement_tables
        from imil.round_tables import round_tables
        from imil.run_store import run_store
        from imil.store import Store
        from imil.terminal_console import TerminalConsole

        found = run_store(run)
        store = Store(found.place, readonly=True)
        console = TerminalConsole()
        if not store.rounds(found.run):
            console.print(f"No round has been held in {found.place}.", markup=False)
        tables = agreement_tables if agreement else round_tables
        for table in tables(store, found.run):
            console.print(table)
