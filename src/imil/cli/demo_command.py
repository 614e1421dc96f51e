"""`imil demo`: the whole of it in three minutes, with films that it draws itself."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import ending


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
    seed: Annotated[int, typer.Option(help="Every random choice comes from it.")] = 0,
) -> None:
    """Train a small model on drawn chest films, correct it in one round, and compare.

    Needs no data and no network. In the drawn films a corner letter goes with the class in 85 %
    of those to train on and in half of those to test on: a shortcut. Who answers the round shows
    the model where to look instead.

    [bold]Example[/bold]

        imil demo --reader simulated
    """
    with ending():
        from imil.training.demo import default_reader, free_folder, run_demo

        folder = out or free_folder()
        run, cache = (shlex.quote(str(folder / name)) for name in ("run", "cache"))
        with ending(f"imil resume {run} --cache {cache}"):
            run_demo(reader or default_reader(), folder, seed)
