"""Which tests start a process or a browser or train, and a guard for those that start processes."""

from __future__ import annotations

import multiprocessing.process
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

# the mark of a test that refers to one of these; what else starts a process is marked by hand
STARTERS = ("subprocess", "multiprocessing", "processes", "terminals", "imil.web.child_server")
TRAINERS = ("imil.training.launch", "imil.training.run", "imil.training.fork")
MARKS = (
    {"browsers": "browser", "studies": "figures"}
    | dict.fromkeys(STARTERS, "process")
    | dict.fromkeys(TRAINERS, "training")
)
EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
HERE = Path(__file__).parent

_started: list[str] = []
_start = multiprocessing.process.BaseProcess.start


def marks(item: pytest.Item) -> set[str]:
    """The marks of what a test, or a function or fixture of the tests that it uses, refers to."""
    fixtures = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]  # doctests have it
    functions = [definitions[-1].func for definitions in fixtures.values()]
    functions.append(getattr(item, "function", None))
    marks: set[str] = set()
    seen: set[FunctionType] = set()
    left = [one for one in functions if isinstance(one, FunctionType)]
    while left:
        function = left.pop()
        if function not in seen:
            seen.add(function)
            own, used = _references(function)
            marks |= own
            left += used
    return marks


@cache  # thousands of tests share a few hundred fixtures and functions
def _references(function: FunctionType) -> tuple[set[str], list[FunctionType]]:
    """The marks of the names in a function, and the functions of the tests that it refers to."""
    marks: set[str] = set()
    used: list[FunctionType] = []
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        module = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
        if isinstance(value, FunctionType | type):
            module = value.__module__
        if name in MARKS or module in MARKS:
            marks.add(MARKS.get(module) or MARKS[name])
        elif isinstance(value, FunctionType) and _is_ours(value):
            used.append(value)
    return marks, used


def _is_ours(function: FunctionType) -> bool:
    return Path(function.__code__.co_filename).parent == HERE


def _names(code: CodeType) -> Iterator[str]:
    """Names that a function looks up, also in the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


@contextmanager
def guard(item: pytest.Item) -> Iterator[None]:
    """Fail the test if it starts a process meanwhile and does not carry the mark."""
    _started.clear()
    yield
    if _started and not any(item.get_closest_marker(mark) for mark in ("browser", "process")):
        pytest.fail(
            f"{item.nodeid} starts a process ({_started[0]}): mark it with pytest.mark.process, "
            "which keeps it out of `make test-fast`"
        )


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    if event in EVENTS:
        _started.append(event)


def _noted_start(process: multiprocessing.process.BaseProcess) -> None:
    _started.append("multiprocessing")  # whose own forks raise no event
    _start(process)


sys.addaudithook(_audit)
multiprocessing.process.BaseProcess.start = _noted_start  # type: ignore[method-assign]
