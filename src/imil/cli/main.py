"""`imil`: all commands; frameworks are imported only when one of them runs."""

from __future__ import annotations

import gc
import io
import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from imil import __version__
from imil.cli.cache_command import cache
from imil.cli.deidentify_command import deidentify
from imil.cli.demo_command import demo
from imil.cli.doctor_command import doctor
from imil.cli.exit_codes import BAD_INPUT, INTERRUPTED, UsageError, usage_message
from imil.cli.export_command import export
from imil.cli.fetch_command import fetch
from imil.cli.invite_command import invite
from imil.cli.predict_command import predict
from imil.cli.resume_command import resume
from imil.cli.round_command import round_
from imil.cli.rounds_command import rounds
from imil.cli.serve_command import serve
from imil.cli.store_command import store
from imil.cli.study_command import study
from imil.cli.train_command import train, train_without_settings
from imil.cli.watch_command import watch
from imil.installation import what_to_install
from imil.output_text import LogFormatter, log_line
from imil.permissions import restrict
from imil.safe_path import isolate_children


class CommandGroup(TyperGroup):
    """The commands of `imil`; the flags of `imil train` are made only when it runs.

    They come from the settings, whose import takes as long as the rest of `imil --help`.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command, and the words that are left for it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _train_command() if name == "train" else command, rest


def _train_command() -> Any:
    from imil.cli.settings_flags import add_settings_flags

    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command("train")(add_settings_flags(train))
    return typer.main.get_command(alone)


app = typer.Typer(
    name="imil",
    cls=CommandGroup,
    help="Train an image classifier, and let a reader correct what it looks at.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """Train an image classifier, and let a reader correct what it looks at."""
    if show:
        typer.echo(f"imil {__version__}")
        raise typer.Exit


app.command("train")(train_without_settings)
for command in (
    resume,
    watch,
    predict,
    rounds,
    export,
    serve,
    invite,
    fetch,
    deidentify,
    demo,
    doctor,
):
    app.command(command.__name__)(command)
for group in (study, round_, store, cache):
    app.add_typer(group)


def main() -> None:
    """The console script."""
    isolate_children()
    restrict()
    _configure_log()
    # frameworks make a million objects that stay: to look through them for garbage as often as by
    # default takes an eighth of what `imil train` takes to start (4.0 and 3.5 s of processor time)
    gc.set_threshold(100_000, 50, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # lines appear in a log as they are printed, and a letter that an old terminal cannot
        # show is escaped
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        if message := usage_message(error, sys.argv[1:]):
            print(log_line(message), file=sys.stderr)
        code = BAD_INPUT
    except typer.Abort:
        code = INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "imil":
            raise
        print(log_line(f"imil: {what_to_install(error.name)}"), file=sys.stderr)
        code = BAD_INPUT
    sys.exit(code)


def _configure_log() -> None:
    """Write warnings on standard error, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(message)s"))
    handler.addFilter(lambda record: not record.name.startswith("imil.web"))  # has its own
    logging.getLogger("imil").addHandler(handler)
