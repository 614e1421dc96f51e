"""Who may read what imil writes: its user alone, or the user's group too.

Runs, stores and the cache hold images of patients and names of readers.
"""

from __future__ import annotations

import os

VARIABLE = "IMIL_GROUP"  # children inherit it
OTHERS, ALL_BUT_OWNER = 0o007, 0o077  # masks of what is not granted


def is_shared() -> bool:
    """Whether the group may read and write too."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def restrict() -> None:
    """Let everything that this process and its children write be for the user, or the group."""
    os.umask(OTHERS if is_shared() else ALL_BUT_OWNER)


def share_with_group() -> None:
    """Let the group read and write everything that is written from now on."""
    os.environ[VARIABLE] = "1"
    restrict()


def file_mode() -> int:
    """Mode of a new file, whatever the process grants otherwise."""
    return 0o660 if is_shared() else 0o600


def folder_mode() -> int:
    """Mode of a new folder, whatever the process grants otherwise."""
    return 0o770 if is_shared() else 0o700
