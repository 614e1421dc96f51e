"""`imil rounds`: what was asked and what was answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import ending


def rounds(
    run: Annotated[
        Path, typer.Argument(help="The run's folder, or its store.", show_default=False)
    ],
) -> None:
    """Show the rounds of a run, their cases, and how each was read.

    [bold]Example[/bold]

        imil rounds runs/films-resnet18
    """
    with ending():
        from rich.console import Console

        from imil.store import Store
        from imil.training.terminal_tables import round_tables

        store = Store(run / "imil.sqlite" if run.is_dir() else run, readonly=True)
        console = Console()
        if not store.rounds():
            console.print(f"No round was held in {run} so far.")
        for table in round_tables(store):
            console.print(table)
