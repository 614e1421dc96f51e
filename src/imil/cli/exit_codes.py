"""How a command ends: 0, 2 with one sentence for bad input, 130 when interrupted.

`imil study run` ends with 1 where a training failed.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from imil.errors import ImilError, RoundPaused

BAD_INPUT = 2
INTERRUPTED = 130
# a command line that cannot be understood; the library's own class of it has moved before
UsageError: Any = typer.BadParameter.__base__


@contextmanager
def ending(how_to_go_on: str = "") -> Iterator[None]:
    """Turn errors into one sentence and the right exit code.

    Args:
        how_to_go_on: a command that continues, said when a person stops the work.
    """
    hint = f" Go on with: {how_to_go_on}" if how_to_go_on else ""
    try:
        yield
    except RoundPaused as pause:
        print(f"Stopped: {pause}.{hint}", file=sys.stderr)
        raise SystemExit(0) from None
    except ImilError as error:
        print(f"imil: {error}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from None
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:  # of what is printed
            print(f"imil: {error.strerror}: make room.{hint}", file=sys.stderr)
            raise SystemExit(BAD_INPUT) from None
        if error.filename is None:  # of no file: a closed pipe, a network
            raise
        why = f"'{error.filename}' cannot be used ({error.strerror})"
        print(f"imil: {why}: check its permissions and the free space", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from None
    except KeyboardInterrupt:
        print(f"\nInterrupted; everything answered so far is stored.{hint}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def misunderstood(error: Any, words: Sequence[str]) -> str:
    """What is wrong with a command line, in one sentence; nothing where help was shown instead.

    Args:
        error: a `UsageError`.
        words: the command line without the program's name.
    """
    said = error.format_message().strip().rstrip(".")
    if not said:
        return ""
    options: Sequence[str] = getattr(getattr(error, "param", None), "opts", ())
    value = next(filter(None, (_value(option, words) for option in options)), None)
    if value is not None:
        said = f"{options[0]} is {value!r}: {error.message.partition(',')[0].rstrip('.').lower()}"
    else:
        said = said[0].lower() + said[1:]
    command = error.ctx.command_path if error.ctx else "imil"
    join = "" if said.endswith("?") else ";"
    return f"imil: {said}{join} `{command} --help` tells what it takes"


def _value(option: str, words: Sequence[str]) -> str | None:
    """What was given with an option, last time."""
    for word, after in reversed(list(zip(words, [*words[1:], None], strict=True))):
        name, has, value = word.partition("=")
        if name == option:
            return value if has else after
    return None
