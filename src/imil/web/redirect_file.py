"""Opening a link in a browser without its secret in the arguments of a process."""

from __future__ import annotations

import html
import os
import webbrowser
from collections.abc import Callable
from pathlib import Path

FILE_NAME = "open-reading-room.html"
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Reading room</title>
<meta http-equiv="refresh" content="0; url={link}">
<p><a href="{link}">Open the reading room</a></p>
"""


def open_link(link: str, folder: Path, open_url: Callable[[str], object] = webbrowser.open) -> None:
    """Let a browser open a file that leads to the link; only the user can read it.

    Every user of a machine sees the arguments of every process, and a browser's are its addresses.
    """
    path = folder / FILE_NAME
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(PAGE.format(link=html.escape(link)))
    open_url(path.absolute().as_uri())
