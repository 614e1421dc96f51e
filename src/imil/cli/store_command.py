"""`imil store`: erasing what a store and a run hold of persons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache

store = typer.Typer(name="store", help="Erase readers, runs and studies.", no_args_is_help=True)


@store.callback()
def _group() -> None:
    """Erase readers, runs and studies."""


@store.command()
def erase(
    source: Annotated[
        Path, typer.Argument(help="The folder of a run or study.", show_default=False)
    ],
    reader: Annotated[
        str | None, typer.Option(help="Erase the name and the reasons of this reader alone.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    cache: Cache = None,
) -> None:
    """Erase a reader, a run or a study for good.

    Of a reader, the readings stay under a number. Of a run or a study, everything goes, decoded
    images in the cache too. The audit keeps what was done and when, without names.

    [bold]Examples[/bold]

        imil store erase runs/films-resnet18 --reader "Dr. Lee"

        imil store erase runs/films-resnet18
    """
    with errors_as_exit_codes():
        from imil.output_text import log_line
        from imil.study.erase_commands import erase_source

        what = f"the reader '{reader}' in {source}" if reader else f"everything in {source}"
        if not yes and not typer.confirm(log_line(f"Erase {what} for good?")):
            raise typer.Abort
        typer.echo(log_line(erase_source(source, reader, cache)))
