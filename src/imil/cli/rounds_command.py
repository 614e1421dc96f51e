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
) -> None:
    """Show the rounds of a run, their cases, and how each was read.

    [bold]Example[/bold]

        imil rounds runs/films-resnet18
    """
    with errors_as_exit_codes():
        from imil.run_store import run_store
        from imil.store import Store
        from imil.terminal_console import TerminalConsole
        from imil.training.outputs.terminal_tables import round_tables

        found = run_store(run)
        store = Store(found.place, readonly=True)
        console = TerminalConsole()
        if not store.rounds(found.run):
            console.print(f"No round has been held in {found.place}.", markup=False)
        for table in round_tables(store, found.run):
            console.print(table)
