"""`imil resume`: continue a run that was stopped or that crashed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache, Group
from imil.preemption import signals_stop_training


def resume(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    reader: Annotated[
        str | None, typer.Option(help="Another reader than before.", show_default="as before")
    ] = None,
    reader_name: Annotated[
        str | None,
        typer.Option(help="Another name of the reader at the console.", show_default="as before"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="The run's store again, with its password; or another one, to which `imil store "
            "copy` has copied the run.",
            show_default="as before",
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            help="While readers read: here or park, another than before.",
            show_default="as before",
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Another number of devices.", show_default="as before"),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(min=1, help="Another number of machines.", show_default="as before"),
    ] = None,
    cache: Cache = None,
    group: Group = False,
) -> None:
    """Continue a run that was stopped, by you or by a crash.

    Training continues from the last checkpoint, a round from its first unread case. A parked run
    whose round is not answered stays as it is; the exit code is then 75.

    [bold]Example[/bold]

        imil resume runs/films-resnet18
    """
    hint = f"imil resume {shlex.quote(str(run))}"
    with errors_as_exit_codes(hint), signals_stop_training():
        from imil.training.launch import resume_run

        resume_run(
            run,
            reader,
            cache,
            reader_name=reader_name,
            store=store,
            wait=wait,
            devices=devices,
            nodes=nodes,
            environment=os.environ,
        )
