"""Opening a picture in the desktop's viewer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread


def open_picture(path: Path) -> None:
    """Open the picture in the desktop's viewer, if there is a desktop; errors are ignored."""
    if sys.platform == "win32":
        try:
            os.startfile(path)
        except OSError:
            return
    elif sys.platform == "darwin":
        _start(["open", str(path)])
    elif os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        _start(["xdg-open", str(path)])


def _start(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        return
    try:
        # in its own session: Ctrl-C at the terminal must not close the picture
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return
    Thread(target=process.wait, daemon=True).start()  # collect its exit status
