"""Readers: a person at the console or a web page, a program, or a file of readings.

A reader is a callable that takes the open cases and yields readings as they come
(`imil.cases.Reader`). Each reading is stored before the next one is asked for.

Names are loaded when they are first used: `imil.readers.spec` is needed where NumPy is not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imil.readers.console import Console
    from imil.readers.simulated import Inverted, RandomSquares, Simulated

_MODULE_OF = {
    "Console": "imil.readers.console",
    "Inverted": "imil.readers.simulated",
    "RandomSquares": "imil.readers.simulated",
    "Simulated": "imil.readers.simulated",
}
__all__ = ["Console", "Inverted", "RandomSquares", "Simulated"]


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'imil.readers' has no attribute '{name}'")
