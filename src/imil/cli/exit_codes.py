"""Exit codes: 0; 2 with one sentence for bad input; 75 for later; 130 when interrupted.

75 says that the same command may succeed later: a signal asked to stop, or the parked round that is
to be resumed is not answered. A training that parks ends with 0.

`imil study run` exits with 1 where a training failed.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer

from imil.errors import ImilError, RoundParked, RoundPaused, RoundUnanswered
from imil.output_text import log_line
from imil.preemption import Preempted

BAD_INPUT = 2
TRY_LATER = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
INTERRUPTED = 130
# a command line that cannot be parsed; the library has moved this class before
UsageError: Any = typer.BadParameter.__base__


@contextmanager
def errors_as_exit_codes(resume_command: str = "") -> Iterator[None]:
    """Turn errors into one sentence and an exit code.

    Args:
        resume_command: the command that continues, printed when a person stops the work.
    """
    hint = f" Continue with: {resume_command}" if resume_command else ""
    after = "the run can be resumed" if resume_command else "every reading so far is stored"
    try:
        yield
    except RoundParked:
        raise SystemExit(0) from None  # where it parked, it said how to go on
    except RoundUnanswered as pause:
        _print(f"imil: {pause}.")
        raise SystemExit(TRY_LATER) from None
    except RoundPaused as pause:
        _print(f"Stopped: {pause}.{hint}")
        raise SystemExit(0) from None
    except ImilError as error:
        _print(f"imil: {error}")
        raise SystemExit(BAD_INPUT) from None
    except OSError as error:
        if isinstance(signal := error.__context__, Preempted):  # the terminal is gone too
            _stop(signal, after, hint)
        if error.errno == errno.ENOSPC and error.filename is None:  # standard output
            _print(f"imil: {error.strerror}: free some space.{hint}")
            raise SystemExit(BAD_INPUT) from None
        if error.filename is None:  # not a file: a closed pipe, a network
            raise
        reason = f"'{error.filename}' cannot be used ({error.strerror})"
        _print(f"imil: {reason}: check its permissions and the free space")
        raise SystemExit(BAD_INPUT) from None
    except Preempted as signal:
        _stop(signal, after, hint)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # after the ^C that the terminal shows
        _print(f"Interrupted; every reading so far is stored.{hint}")
        raise SystemExit(INTERRUPTED) from None


def _print(message: str) -> None:
    """Print a message of one line on standard error, unless nothing can be written there."""
    with suppress(OSError):  # as to a file on a full disk: the exit code still says what it was
        print(log_line(message), file=sys.stderr)


def _stop(signal: Preempted, after: str, hint: str) -> NoReturn:
    """Exit as preempted, also where SIGHUP came because the terminal is gone."""
    with suppress(OSError):
        _print(f"Stopped by {signal}; {after}.{hint}")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # what is left would be written at exit, and change the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(TRY_LATER) from None


def usage_message(error: Any, words: Sequence[str]) -> str:
    """What is wrong with a command line, in one sentence; empty where help was shown instead.

    Args:
        error: a `UsageError`.
        words: the command line without the program's name.
    """
    message = error.format_message().strip().rstrip(".")
    if not message:
        return ""
    options: Sequence[str] = getattr(getattr(error, "param", None), "opts", ())
    value = next(filter(None, (_value(option, words) for option in options)), None)
    if value is not None:
        reason = error.message.partition(",")[0].rstrip(".").lower()
        message = f"{options[0]} is {value!r}: {reason}"
    else:
        message = message[0].lower() + message[1:]
    command = error.ctx.command_path if error.ctx else "imil"
    separator = "" if message.endswith("?") else ";"
    return f"imil: {message}{separator} see `{command} --help`"


def _value(option: str, words: Sequence[str]) -> str | None:
    """The value last given with an option."""
    for word, following in reversed(list(zip(words, [*words[1:], None], strict=True))):
        name, has_value, value = word.partition("=")
        if name == option:
            return value if has_value else following
    return None
