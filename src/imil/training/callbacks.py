"""What follows an epoch of `imil train`: its row of the history, and the progress bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imil.atomic_files import write_table
from imil.cases import Reading
from imil.errors import SettingsError
from imil.run_folder import RunFolder
from imil.training.loop import EpochResult
from imil.training.throttle import Throttle


class History:
    """Loss and accuracy of each epoch, in the checkpoint and as a table in the run's folder.

    The table is written now and then, before each round and after the last epoch.

    Args:
        folder: where the table lies.
        always: completed epochs after which the table is written whatever the time; asked once
            the epoch has its row.
        validate: what the validation set gives.
    """

    def __init__(
        self,
        folder: RunFolder,
        always: Container[int],
        validate: Callable[[], dict[str, float]],
    ) -> None:
        self._folder, self._always, self._validate = folder, always, validate
        self.rows: list[dict[str, Any]] = []  # in the checkpoint: a resumed run adds to them
        self._throttle = Throttle()

    def add(self, result: EpochResult) -> None:
        """Add a row.

        Raises: SettingsError: training has diverged.
        """
        row: dict[str, Any] = {"epoch": result.epoch}
        row |= {"train_loss": result.loss, "train_accuracy": result.accuracy}
        if not math.isfinite(result.loss):  # it will not become a number again
            raise SettingsError(
                f"the loss is {result.loss} after epoch {result.epoch}: training has diverged; "
                "train anew with a lower --lr"
            )
        self.rows.append(row | {f"val_{k}": v for k, v in self._validate().items()})
        last = result.epoch == result.epochs
        if result.epoch in self._always or last or self._throttle.due():
            with self._throttle.timed():
                write_table(self._folder.history, pd.DataFrame(self.rows))


class Bar:
    """A progress bar over epochs; one line now and then where there is no terminal.

    Args:
        console: where it is shown.
        epochs: of the whole training.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self._console, self._epochs = console, epochs
        self._bar: Progress | None = None

    def show(self, done: int) -> None:
        """Show the bar, at this number of completed epochs."""
        self._bar = epoch_bar(self._console)
        self._task = self._bar.add_task("Training", total=self._epochs, completed=done, text="")
        self._bar.start()

    def hide(self) -> None:
        """Take the bar away, so that a reader or the shell has the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def advance(self, result: EpochResult) -> None:
        """Move on by an epoch."""
        if self._bar is None:  # a reader had the screen
            self.show(result.epoch)
        assert self._bar is not None
        text = f"loss {result.loss:.3f}  accuracy {result.accuracy:.3f}"
        self._bar.update(self._task, completed=result.epoch, text=text)
        if not self._console.is_terminal and result.epoch % max(1, self._epochs // 10) == 0:
            self._console.print(f"Epoch {result.epoch} of {self._epochs}: {text}")


def epoch_bar(console: Console) -> Progress:
    """The bar over epochs."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def with_reading_bar(
    readings: Iterator[Reading], cases: int, console: Console
) -> Iterator[Reading]:
    """The readings as they come, with a bar that counts the cases read."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    read = set()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading", total=cases)
        for reading in readings:
            yield reading
            read.add(reading.case)
            bar.update(task, completed=len(read))
