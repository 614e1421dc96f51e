"""Importing what is heavy, in less time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

SIGNAL = "scipy.signal"


@contextmanager
def importing() -> Iterator[None]:
    """A block of imports, during which nobody looks for garbage.

    Frameworks make a million objects that stay; to look through them again and again takes a
    sixth of the time (6.0 and 4.9 s for all that `imil train` needs, on two cores). What is there
    at the end of the block is not looked through later either.

    `scipy.signal` is loaded in the block only if something of it is used: torchmetrics imports
    it to give it a window that no other part asks for, which takes another tenth. matplotlib is
    loaded when something is drawn, and not for torchmetrics, whose metrics here draw nothing:
    another eighth.
    """
    was_on = gc.isenabled()
    gc.disable()
    stands_in = _Signal(SIGNAL)
    sys.modules.setdefault(SIGNAL, stands_in)
    try:
        with _never_drawn():
            yield
    finally:
        if sys.modules.get(SIGNAL) is stands_in:
            del sys.modules[SIGNAL]
        gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def _never_drawn() -> Iterator[None]:
    """A block in which torchmetrics, if it is imported, finds no matplotlib for its metrics."""
    try:
        from lightning_utilities.core import imports  # here, for `imil --help` needs no framework
    except ImportError:  # whoever wants Lightning will say that it is not installed
        yield
        return

    class Absent(imports.RequirementCache):
        def __init__(self, requirement: str | None = None, module: str | None = None) -> None:
            super().__init__(requirement, module)
            if requirement == "matplotlib":
                self.available, self.message = False, "left out by imil: its metrics are not drawn"

    was = imports.RequirementCache
    imports.RequirementCache = Absent  # type: ignore[misc]
    try:
        yield
    finally:
        imports.RequirementCache = was  # type: ignore[misc]


class _Signal(ModuleType):
    """Has the window, and becomes the real module when anything else is wanted."""

    hamming: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # `inspect` asks every module there is
            raise AttributeError(name)
        if sys.modules.get(SIGNAL) is self:
            del sys.modules[SIGNAL]
        return getattr(import_module(SIGNAL), name)
