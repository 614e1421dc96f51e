"""`imil store`: copying, backing up, and erasing what a store and a run hold of persons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache

store = typer.Typer(
    name="store", help="Copy, back up or erase runs and studies.", no_args_is_help=True
)
SOURCE = "The run's folder, its store, or the address of a database."


@store.callback()
def _group() -> None:
    """Copy, back up or erase runs and studies."""


@store.command()
def copy(
    source: Annotated[
        str,
        typer.Argument(
            help="The folder of a run or study, a store, or the address of a database.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            help="A store's file, or the address of a database; made if it does not exist.",
            show_default=False,
        ),
    ],
    run: Annotated[
        str | None, typer.Option(help="Which run of the source; all if not given.")
    ] = None,
) -> None:
    """Copy a run with its readings, images and links from one store into another.

    Every row is compared afterwards, and nothing is copied if one differs. The source stays as it
    is; let nobody read in it any more. Of a study, all trainings are copied, each as
    STUDY-ARM-seed-S-split-P; the report still reads the study's folder.

    [bold]Examples[/bold]

        imil store copy runs/films-resnet18 postgresql+psycopg://imil@db.example.org/imil

        imil resume runs/films-resnet18 --store postgresql+psycopg://imil@db.example.org/imil
    """
    with errors_as_exit_codes():
        from imil.output_text import log_line
        from imil.study_copies import copy_source

        typer.echo(log_line(copy_source(source, target, run)))


@store.command()
def backup(
    source: Annotated[str, typer.Argument(help=SOURCE, show_default=False)],
    file: Annotated[Path, typer.Argument(help="A new file, for SQLite.", show_default=False)],
    run: Annotated[
        str | None, typer.Option(help="Which run of a database; all if not given.")
    ] = None,
) -> None:
    """Copy a store into a file, as it is at one moment, while trainings and readers go on.

    [bold]Example[/bold]

        imil store backup runs/films-resnet18 backup.sqlite
    """
    with errors_as_exit_codes():
        from imil.output_text import log_line
        from imil.store.copy_commands import back_up_store

        typer.echo(log_line(back_up_store(source, file, run)))


@store.command()
def erase(
    source: Annotated[
        str,
        typer.Argument(
            help="The folder of a run or study, a store, or the address of a database.",
            show_default=False,
        ),
    ],
    reader: Annotated[
        str | None, typer.Option(help="Erase the name and the reasons of this reader alone.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Erase this run of the store, or the reader in it alone.")
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
        from imil.erasure.commands import erase_source, named_source
        from imil.output_text import log_line

        place = named_source(source, run)
        what = f"the reader '{reader}' in {place}" if reader else f"everything in {place}"
        if not yes and not typer.confirm(log_line(f"Erase {what} for good?")):
            raise typer.Abort
        typer.echo(log_line(erase_source(source, reader, cache, run=run)))
