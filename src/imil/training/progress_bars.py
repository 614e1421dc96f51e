"""How far a run is: a bar in a terminal or a notebook, a line now and then in a file."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from imil.cases import Reading
from imil.count_bar import CountBar
from imil.notebook.kernel import in_notebook
from imil.training.loop import EpochResult

LINES = 10  # over a training, however short its epochs are


class Bar:
    """The bar over the epochs of a training.

    Args:
        console: where it is shown.
        epochs: of the whole training.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self._console, self._epochs = console, epochs
        self._bar: CountBar | None = None
        self._shown = False
        self._in_cell = in_notebook()

    def show(self, done: int) -> None:
        """Show the bar, at this number of completed epochs."""
        if self._bar is None:
            self._bar = CountBar(self._console, "Epoch", self._epochs, remaining=True)
        if not self._shown:
            self._bar.__enter__()
            self._shown = True
        self._bar.update(done)

    def hide(self) -> None:
        """Take the bar away, so that a reader or the shell has the terminal."""
        if self._bar is not None and self._shown:
            self._bar.__exit__(None, None, None)
            self._shown = False
            if not self._in_cell:  # a cell has one bar, a terminal a new one below the reader
                self._bar = None

    def advance(self, result: EpochResult) -> None:
        """Move on by an epoch."""
        if not self._shown:  # a reader had the screen
            self.show(result.epoch)
        assert self._bar is not None
        text = f"loss {result.loss:.3f}  accuracy {result.accuracy:.3f}"
        line = result.epoch % max(1, self._epochs // LINES) == 0
        self._bar.update(result.epoch, text=text, line=line)


def with_reading_bar(
    readings: Iterator[Reading], cases: int, console: Console
) -> Iterator[Reading]:
    """The readings as they come, with a bar that counts the cases read."""
    read = set()
    with CountBar(console, "Reading", cases) as bar:
        for reading in readings:
            yield reading
            read.add(reading.case)
            bar.update(len(read))
