"""`imil resume`: go on where a run was stopped, whatever stopped it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import ending
from imil.cli.options import Cache


def resume(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    reader: Annotated[
        str | None, typer.Option(help="Another reader than before.", show_default="as before")
    ] = None,
    cache: Cache = None,
) -> None:
    """Go on with a run that was stopped: by you, or by a crash.

    Training goes on from the last checkpoint, a round from its first unread case.

    [bold]Example[/bold]

        imil resume runs/films-resnet18
    """
    with ending(f"imil resume {shlex.quote(str(run))}"):
        from imil.training.launch import continue_run

        continue_run(run, reader, cache)
