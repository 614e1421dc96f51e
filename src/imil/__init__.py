"""IMIL: interactive medical image learning. A radiologist's clicks, a better model.

Public names are loaded when they are first used: `import imil` costs no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imil.cases import Case, Reading, Round, RoundSettings
    from imil.errors import ImilError
    from imil.grid import Grid
    from imil.reader_panel import ReaderPanel
    from imil.rounds import run_round
    from imil.store import Store

__version__ = "0.1.0"

_HOME = {
    "Case": "imil.cases",
    "Grid": "imil.grid",
    "ImilError": "imil.errors",
    "ReaderPanel": "imil.reader_panel",
    "Reading": "imil.cases",
    "Round": "imil.cases",
    "RoundSettings": "imil.cases",
    "Store": "imil.store",
    "run_round": "imil.rounds",
}
__all__ = [
    "Case",
    "Grid",
    "ImilError",
    "ReaderPanel",
    "Reading",
    "Round",
    "RoundSettings",
    "Store",
    "run_round",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'imil' has no attribute '{name}'")
