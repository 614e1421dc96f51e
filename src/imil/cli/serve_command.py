"""`imil serve`: the reading room of a run, without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.preemption import Preempted, signals_stop_training


def serve(
    source: Annotated[
        str,
        typer.Argument(
            help="The run's folder, its store, or the address of a database.", show_default=False
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(help="Which run of the store the links open; the newest if not given."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every network of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; the next free one if it is in use.")] = 8090,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate chain for https, a PEM file.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, a PEM file.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without https.")
    ] = False,
    behind_proxy: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Trust the headers of the proxy at this address for client address and scheme.",
        ),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="The address that readers use, if a proxy changes it.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="What readers see first: the model's opinion too (paper), or the image alone "
            "until they have chosen (blind-first). The run keeps it."
        ),
    ] = None,
) -> None:
    """Open the reading room of a run, in which radiologists read its cases in a browser.

    It may run beside the training or after it, and be stopped and started at any time: both use
    the run's store.

    [bold]Examples[/bold]

        imil serve runs/films-resnet18

        imil serve runs/films-resnet18 --host 0.0.0.0 --tls-cert room.pem --tls-key room.key
    """
    with errors_as_exit_codes(), signals_stop_training():
        from imil.web.serve_commands import serve_run
        from imil.web.server import ServerConfig

        config = ServerConfig(
            host, port, tls_cert, tls_key, insecure, behind_proxy, public_url=public_url
        )
        try:
            serve_run(source, config, run=run, protocol=protocol, say=typer.echo)
        except Preempted as signal:  # a service is stopped so: it did what it was asked
            typer.echo(f"Stopped by {signal}; every reading so far is stored.", err=True)
