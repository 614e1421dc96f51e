"""A progress bar below a cell: one, updated in place, without widgets."""

from __future__ import annotations

import time

from imil.notebook.cell_output import CellOutput
from imil.output_text import escaped_html

INTERVAL = 0.3  # seconds between two updates; each is a message to the page


class CellBar:
    """Shows how far something is in one place below the cell, at most every 0.3 s."""

    def __init__(self) -> None:
        self._output, self._shown = CellOutput(), -INTERVAL

    def show(self, what: str, done: int, total: int | None, text: str = "") -> None:
        """Show `done` of `total`, and a text behind it; the last step is always shown."""
        now = time.monotonic()
        if now - self._shown < INTERVAL and done != total:
            return
        self._shown = now
        of = "" if total is None else f" of {total}"
        end = "" if total is None else f' max="{total}" value="{done}"'
        self._output.show(
            f'<div><progress{end} style="width:16em;vertical-align:middle"></progress> '
            f"{escaped_html(what)} {done}{of} {escaped_html(text)}</div>"
        )
