"""How a command ends: 0, 2 with one sentence for bad input, 130 when interrupted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from imil.errors import ImilError, RoundPaused

BAD_INPUT = 2
INTERRUPTED = 130


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
        if error.filename is None:  # of no file: a closed pipe, a network
            raise
        why = f"'{error.filename}' cannot be used ({error.strerror})"
        print(f"imil: {why}: check its permissions and the free space", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from None
    except KeyboardInterrupt:
        print(f"\nInterrupted; everything answered so far is stored.{hint}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
