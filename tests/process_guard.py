"""Which tests start a process, and a guard that fails those that do so without the mark."""

from __future__ import annotations

import multiprocessing.process
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

MARKS = ("process", "browser")
# what a test refers to that starts a process; what else does so carries the mark by hand
STARTERS = {"subprocess", "multiprocessing", "processes", "terminals", "imil.web.child_server"}
EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
HERE = Path(__file__).parent

_running: list[pytest.Item] = []
_start = multiprocessing.process.BaseProcess.start


def starts_process(item: pytest.Item) -> bool:
    """Whether a test, or a fixture or function of the tests that it uses, refers to a starter."""
    fixtures = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]  # doctests have it too
    used = [definitions[-1].func for definitions in fixtures.values()]
    test = getattr(item, "function", None)
    return any(_refers(one, set()) for one in [test, *used] if isinstance(one, FunctionType))


def _refers(function: FunctionType, seen: set[FunctionType]) -> bool:
    seen.add(function)
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        module = value.__name__ if isinstance(value, ModuleType) else value.__class__.__module__
        if isinstance(value, FunctionType | type):
            module = value.__module__
        if name in STARTERS or module in STARTERS:
            return True
        ours = isinstance(value, FunctionType) and Path(value.__code__.co_filename).parent == HERE
        if ours and value not in seen and _refers(value, seen):
            return True
    return False


def _names(code: CodeType) -> Iterator[str]:
    """Names that a function looks up, also in the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


@contextmanager
def guarded(item: pytest.Item) -> Iterator[None]:
    """Meanwhile this test runs, from the setup of its fixtures to their teardown."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()


def _check(event: str) -> None:
    if _running and not any(_running[-1].get_closest_marker(mark) for mark in MARKS):
        raise AssertionError(
            f"{_running[-1].nodeid} starts a process ({event}): mark it with pytest.mark.process, "
            "which keeps it out of `make test-fast`"
        )


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    if event in EVENTS and _pid == os.getpid():
        _check(event)


def _start_if_marked(process: multiprocessing.process.BaseProcess) -> None:
    _check("multiprocessing")  # whose own forks raise no event
    _start(process)


_pid = os.getpid()
sys.addaudithook(_audit)
multiprocessing.process.BaseProcess.start = _start_if_marked  # type: ignore[method-assign]
