"""Versions of what a run's numbers depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

RECORDED = ("imil", "numpy", "pillow", "sqlalchemy", "torch", "torchvision", "timm", "lightning")


def versions(*more: str) -> dict[str, Any]:
    """Versions of Python and of the libraries that are installed, by name.

    Args:
        more: names of other libraries, of the framework that trains.
    """
    result = {"python": platform.python_version()}
    for name in (*RECORDED, *more):
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            continue
    return result
