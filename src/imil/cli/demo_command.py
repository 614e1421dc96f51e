"""`imil demo`: a training with a round, in three minutes, on drawn films."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes


def demo(
    reader: Annotated[
        str | None,
        typer.Option(
            help="web or console (you answer), simulated, random, inverted or none.",
            show_default="web where there is a browser, console at a terminal, else simulated",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything.", show_default="runs/demo")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
) -> None:
    """Train a small model on drawn chest films, correct it in one round, and compare.

    Needs no data and no network connection. In the drawn films a corner letter matches the class
    in 85 % of the training films and in half of the test films: a shortcut. The reader shows the
    model where to look instead.

    [bold]Example[/bold]

        imil demo --reader simulated
    """
    with errors_as_exit_codes():
        from imil.training.demo import default_reader, run_demo, unused_folder

        folder = out or unused_folder()
        run, cache = (shlex.quote(str(folder / name)) for name in ("run", "cache"))
        with errors_as_exit_codes(f"imil resume {run} --cache {cache}"):
            run_demo(reader or default_reader(), folder, seed)
