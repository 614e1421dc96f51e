"""Child processes that import nothing from the working folder, which may be anybody's data.

`python -m` and `python -c` put the working folder first on the search path: a `socket.py` beside
the images would run. Source: PYTHONSAFEPATH and -P, Python 3.11, "Command line and environment".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def isolate_children() -> None:
    """Let every Python that this process starts leave the working folder off its search path.

    It sets PYTHONSAFEPATH, which `multiprocessing`, its resource tracker and the workers of
    `torch.compile` inherit.
    """
    os.environ["PYTHONSAFEPATH"] = "1"


def child_environment() -> dict[str, str]:
    """The environment of a child that finds the modules that this process finds.

    The working folder is not searched, unless this package itself lies in it.
    """
    return os.environ | {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(_without_working_folder(sys.path)),
    }


def _without_working_folder(folders: list[str]) -> list[str]:
    package, here = Path(__file__).resolve().parents[1], Path.cwd()
    return [
        folder
        for folder in folders
        if folder and (Path(folder).resolve() != here or Path(folder).resolve() == package)
    ]
