"""`imil`: every command, and nothing heavy until one of them runs."""

from __future__ import annotations

import gc
import io
import sys

import typer

from imil import __version__
from imil.cli.demo_command import demo
from imil.cli.exit_codes import BAD_INPUT, INTERRUPTED, UsageError, misunderstood
from imil.cli.invite_command import invite
from imil.cli.resume_command import resume
from imil.cli.rounds_command import rounds
from imil.cli.serve_command import serve
from imil.cli.study_command import study
from imil.cli.train_command import train

app = typer.Typer(
    name="imil",
    help="Train an image classifier, and let a reader show it where to look.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Say which version this is, and stop."),
) -> None:
    """Train an image classifier, and let a reader show it where to look."""
    if show:
        typer.echo(f"imil {__version__}")
        raise typer.Exit


for command in (train, resume, rounds, serve, invite, demo):
    app.command(command.__name__)(command)
app.add_typer(study)


def main() -> None:
    """The console script."""
    # frameworks make a million objects that stay: to look through them for garbage as often as by
    # default takes an eighth of what `imil train` takes to start (4.0 and 3.5 s of processor time)
    gc.set_threshold(100_000, 50, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a link in a log is for now, not for the end; no letter may end what an old terminal shows
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        if sentence := misunderstood(error, sys.argv[1:]):
            print(sentence, file=sys.stderr)
        code = BAD_INPUT
    except typer.Abort:
        code = INTERRUPTED
    sys.exit(code)
