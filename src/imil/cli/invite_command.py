"""`imil invite`: links to the reading room."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from imil.cli.exit_codes import errors_as_exit_codes


def write_private(text: str, out: Path | None) -> None:
    """Write links to a new file that only its owner can read, or to the standard output.

    Raises: FileExistsError: the file exists.
    """
    if out is None:
        sys.stdout.write(text)
        return
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def invite(
    source: Annotated[
        str,
        typer.Argument(
            help="The run's folder, its store, or the address of a database.", show_default=False
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(help="Name of the reader, stored with the readings.", show_default=False),
    ] = None,
    days: Annotated[int, typer.Option(help="Days until the link expires.")] = 30,
    url: Annotated[
        str | None,
        typer.Option(help="Address of the reading room; the one served last if not given."),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Which run of the store; the newest if not given.")
    ] = None,
    owner: Annotated[bool, typer.Option("--owner", help="Make a link to the lobby, too.")] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            help="Invite everybody in this table, by its column `name`; prints the table with the "
            "columns `link` and `expires`.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --csv: a new file for the table.", show_default="standard output"),
    ] = None,
    revoke: Annotated[str | None, typer.Option(help="Revoke every link of this reader.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List all links.")] = False,
) -> None:
    """Invite a reader to the reading room: prints a link for this reader only.

    The link is shown once; the store keeps only a hash of it.

    [bold]Examples[/bold]

        imil invite runs/films-resnet18 "Dr. Lee"

        imil invite runs/films-resnet18 --csv readers.csv --out links.csv

        imil invite runs/films-resnet18 --revoke "Dr. Lee"
    """
    with errors_as_exit_codes():
        from imil.errors import SettingsError
        from imil.web.invited_table import invite_table
        from imil.web.serve_commands import invite_to_run, list_links, revoke_links

        if table is not None:
            if out is not None and out.exists():
                raise SettingsError(f"--out {out} exists: give the name of a new file")
            write_private(invite_table(source, table, run=run, days=days, url=url), out)
            return
        if revoke is not None:
            revoke_links(source, revoke, run=run, say=typer.echo)
        elif show:
            list_links(source, run=run, say=typer.echo)
        else:
            kind: Literal["reader", "owner"] = "owner" if owner else "reader"
            invite_to_run(source, name, run=run, kind=kind, days=days, url=url, say=typer.echo)
