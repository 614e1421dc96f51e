"""`imil rounds`: the cases of a run, and their readings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes


def rounds(
    run: Annotated[
        Path, typer.Argument(help="The run's folder, or its store.", show_default=False)
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
        from imil.run_folder import store_path
        from imil.store import Store
        from imil.terminal_console import TerminalConsole
        from imil.training.outputs.agreement_tables import agreement_tables
        from imil.training.outputs.terminal_tables import round_tables

        store = Store(store_path(run), readonly=True)
        console = TerminalConsole()
        if not store.rounds():
            console.print(f"No round has been held in {run}.", markup=False)
        for table in agreement_tables(store) if agreement else round_tables(store):
            console.print(table)
