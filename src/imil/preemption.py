"""Signals that ask a training to stop soon, as clusters send them before they take a machine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)  # Windows has the first alone


class Preempted(KeyboardInterrupt):  # stopped from outside: no `except Exception` is meant for it
    """The training was asked to stop, and can be resumed."""


class _Request:
    """Which signal came, and whether to wait with it."""

    came: signal.Signals | None = None
    waits: bool = False


_request = _Request()


@contextmanager
def signals_stop_training() -> Iterator[None]:
    """A block in which SIGTERM, SIGUSR1 and SIGHUP raise `Preempted`, where `deferred` says, later.

    A signal that the process ignores, as SIGHUP under nohup, stays ignored. Afterwards the process
    handles them as before. In a thread that cannot set handlers, nothing
    changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _request.came, _request.waits = None, False
    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _note) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _request.came = None


@contextmanager
def deferred() -> Iterator[None]:
    """A block that a signal does not end; `requested` says that one came."""
    before, _request.waits = _request.waits, True
    try:
        yield
    finally:
        _request.waits = before


@contextmanager
def immediate() -> Iterator[None]:
    """A block within `deferred` that a signal ends at once; also one that came before."""
    before, _request.waits = _request.waits, False
    try:
        if _request.came is not None:
            raise Preempted(_request.came.name)
        yield
    finally:
        _request.waits = before


def requested() -> bool:
    """Whether a signal has come."""
    return _request.came is not None


def _note(number: int, _frame: FrameType | None) -> None:
    _request.came = signal.Signals(number)
    if not _request.waits:
        raise Preempted(_request.came.name)
