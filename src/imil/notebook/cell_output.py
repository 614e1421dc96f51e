"""One place below a cell whose content is replaced, rather than added to."""

from __future__ import annotations

from typing import Any


class CellOutput:
    """HTML below the cell that runs; showing other HTML replaces it."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str) -> None:
        """Show it in place of what was shown before."""
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)
        else:
            self._handle.update(HTML(html))
