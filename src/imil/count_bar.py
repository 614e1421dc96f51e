"""A count towards a total: a bar in a terminal or a notebook, a line now and then in a file."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imil.notebook.cell_bar import CellBar
from imil.notebook.kernel import in_notebook

LINE_INTERVAL = 60.0  # seconds between two lines in a file


class CountBar:
    """Counts towards a total while the block runs.

    Args:
        console: where it is shown.
        what: is counted.
        total: None: not known yet.
        transient: whether a terminal is left without it.
        remaining: whether to show the time that is left.
    """

    def __init__(
        self,
        console: Console,
        what: str,
        total: int | None = None,
        *,
        transient: bool = False,
        remaining: bool = False,
    ) -> None:
        self._console, self._what, self._total = console, what, total
        self._cell = CellBar() if in_notebook() else None
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        columns.append(TextColumn("{task.fields[text]}"))
        self._bar = Progress(
            *[*columns, *([TimeRemainingColumn()] if remaining else [])],
            console=console,
            transient=transient,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=total, text="")
        self._said = time.monotonic()

    def __enter__(self) -> CountBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(
        self, done: int, total: int | None = None, *, text: str = "", line: bool = False
    ) -> None:
        """Move on.

        Args:
            done: so many of the total.
            total: where it is known by now.
            text: shown behind the numbers.
            line: whether a file gets a line now; otherwise once a minute.
        """
        self._total = self._total if total is None else total
        self._bar.update(self._task, completed=done, total=self._total, text=text)
        if self._cell is not None:
            self._cell.show(self._what, done, self._total, text)
        elif not self._console.is_terminal and (line or self._is_due()):
            self._said = time.monotonic()
            of = "" if self._total is None else f" of {self._total}"
            self._console.print(
                f"{self._what} {done}{of}{': ' if text else ''}{text}", markup=False
            )

    def _is_due(self) -> bool:
        return time.monotonic() - self._said >= LINE_INTERVAL
