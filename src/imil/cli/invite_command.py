"""`imil invite`: links to the reading room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from imil.cli.exit_codes import ending


def invite(
    source: Annotated[
        Path, typer.Argument(help="The run's folder, or its store.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Argument(help="Who is invited; their readings carry the name.", show_default=False),
    ] = None,
    days: Annotated[int, typer.Option(help="Until the link expires.")] = 30,
    url: Annotated[
        str | None,
        typer.Option(help="Where the reading room is; where it was served last if not given."),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Which run of the store; the newest if not given.")
    ] = None,
    owner: Annotated[
        bool, typer.Option("--owner", help="Make a link to the lobby as well, not only to read.")
    ] = False,
    revoke: Annotated[
        str | None, typer.Option(help="Make every link of this person useless, at once.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show every link that was given.")] = False,
) -> None:
    """Invite a reader to the reading room: prints a link for this person alone.

    The link is shown once; the store keeps only a hash of it.

    [bold]Examples[/bold]

        imil invite runs/films-resnet18 "Dr. Lee"

        imil invite runs/films-resnet18 --revoke "Dr. Lee"
    """
    with ending():
        from imil.web.serve_commands import invite_to_run, list_links, revoke_links

        if revoke is not None:
            revoke_links(source, revoke, run=run, say=typer.echo)
        elif show:
            list_links(source, run=run, say=typer.echo)
        else:
            kind: Literal["reader", "owner"] = "owner" if owner else "reader"
            invite_to_run(source, name, run=run, kind=kind, days=days, url=url, say=typer.echo)
