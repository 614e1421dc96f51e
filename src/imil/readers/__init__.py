"""Whoever answers a round's cases: a person at the console, a simulated reader, a file.

A reader is a callable that takes the open cases and yields readings as they come
(`imil.cases.Reader`). Each reading is stored before the next one is asked for.
"""

from imil.readers.console import Console
from imil.readers.simulated import Inverted, RandomSquares, Simulated

__all__ = ["Console", "Inverted", "RandomSquares", "Simulated"]
