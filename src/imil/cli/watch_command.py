"""`imil watch`: wait for the readers of a parked run, and go on with it each time."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache, Group
from imil.preemption import signals_stop_training
from imil.safe_path import child_environment


def watch(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    cache: Cache = None,
    group: Group = False,
) -> None:
    """Wait until a parked round is answered, then train on, to the end of the run.

    For runs of `imil train --wait park`. Several rounds are waited for one after the other.
    While it waits it takes no GPU and little memory. Ctrl-C leaves everything as it was.

    [bold]Example[/bold]

        imil watch runs/films-resnet18
    """
    hint = f"imil watch {shlex.quote(str(run))}"
    with errors_as_exit_codes(hint), signals_stop_training():
        from imil.errors import RoundParked, RoundUnanswered
        from imil.output_text import log_line
        from imil.parking import wait_until_answered

        if not wait_until_answered(run, say=lambda line: typer.echo(log_line(line))):
            return
        from imil.training.launch import resume_run

        try:
            resume_run(run, None, cache)
        except (RoundParked, RoundUnanswered):  # the latter was reopened meanwhile
            _start_anew(run, cache, group=group)


def _start_anew(run: Path, cache: Path | None, *, group: bool) -> None:
    """Become a new process of the same command: the memory that training took is free then."""
    words = ["watch", str(run)]
    words += [] if cache is None else ["--cache", str(cache)]
    words += ["--group"] if group else []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    command = [sys.executable, "-P", "-m", "imil", *words]
    os.execve(sys.executable, command, child_environment())
