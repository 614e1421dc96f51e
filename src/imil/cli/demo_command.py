"""`imil demo`: a training with a round, on drawn films, in a few minutes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Group


def demo(
    reader: Annotated[
        str | None,
        typer.Option(
            help="web or console (you answer), simulated, random or inverted.",
            show_default="web where there is a browser, console at a terminal, else simulated",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything.", show_default="runs/demo")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print the accuracies as one line of JSON.")
    ] = False,
    group: Group = False,
) -> None:
    """Train a small model on drawn chest films, correct it in one round, and compare.

    Needs no data and no network connection. In the drawn films a corner letter matches the class
    in 97 % of the training films: a shortcut. The same training goes on without a reader, with
    random squares and with the reader's squares, and each is tested on films whose letter agrees
    with the class, contradicts it, or is missing.

    [bold]Example[/bold]

        imil demo --reader simulated
    """
    with errors_as_exit_codes():
        from imil.training.demo import default_reader, run_demo, unused_folder

        folder = out or unused_folder()
        run, cache = (shlex.quote(str(folder / name)) for name in ("run", "cache"))
        with errors_as_exit_codes(f"imil resume {run} --cache {cache}"):
            run_demo(reader or default_reader(), folder, seed, as_json=json)
