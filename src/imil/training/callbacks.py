"""What happens around an epoch of `imil train`: seed, history, predictions, bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imil.atomic_files import write_table
from imil.cases import Reading
from imil.errors import SettingsError
from imil.run_folder import RunFolder
from imil.training.throttle import Throttle


class EpochSeed(Callback):
    """Seeds torch for each epoch from the run's seed, so that any epoch can be redone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the global generators: mixes and dropout draw from them."""
        epoch_seed = np.random.SeedSequence([self._seed, trainer.current_epoch])
        torch.manual_seed(int(epoch_seed.generate_state(1)[0]))


class Evaluation(Callback):
    """Calls `evaluate(epoch)` before each round, also when training resumes right there."""

    def __init__(self, epochs: tuple[int, ...], evaluate: Callable[[int], None]) -> None:
        self._epochs, self._evaluate = epochs, evaluate

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate if the run was stopped between a checkpoint and its evaluation."""
        self._at(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate if a round follows."""
        self._at(trainer.current_epoch + 1)

    def _at(self, epoch: int) -> None:
        if epoch in self._epochs:
            self._evaluate(epoch)


class History(Callback):
    """Loss and accuracy of each epoch, in the checkpoint and as a table in the run's folder.

    The table is written now and then, before each round and after the last epoch.

    Args:
        folder: where the table lies.
        kept: completed epochs after which the table is written whatever the time.
        validate: what the validation set gives.
    """

    def __init__(
        self,
        folder: RunFolder,
        kept: tuple[int, ...],
        validate: Callable[[], dict[str, float]],
    ) -> None:
        self._folder, self._kept, self._validate = folder, kept, validate
        self._rows: list[dict[str, Any]] = []
        self._throttle = Throttle()

    def state_dict(self) -> dict[str, Any]:
        """The rows so far: a resumed run goes on below them."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of the checkpoint."""
        self._rows = list(state_dict["rows"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a row.

        Raises: SettingsError: training has diverged.
        """
        epoch = trainer.current_epoch + 1
        row: dict[str, Any] = {"epoch": epoch}
        row |= {f"train_{k}": float(trainer.callback_metrics[k]) for k in ("loss", "accuracy")}
        if not math.isfinite(row["train_loss"]):  # it will not become a number again
            raise SettingsError(
                f"the loss is {row['train_loss']} after epoch {epoch}: training has diverged; "
                "train anew with a lower --lr"
            )
        self._rows.append(row | {f"val_{k}": v for k, v in self._validate().items()})
        if epoch in self._kept or epoch == trainer.max_epochs or self._throttle.due():
            with self._throttle.doing():
                write_table(self._folder.history, pd.DataFrame(self._rows))


class Bar(Callback):
    """A progress bar over epochs; one line now and then where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar from the epoch where training starts."""
        self.show(trainer.current_epoch, trainer.max_epochs or 0)

    def show(self, done: int, epochs: int) -> None:
        """Show the bar."""
        self._done, self._epochs = done, epochs
        self._bar = epoch_bar(self._console)
        self._task = self._bar.add_task("Training", total=epochs, completed=done, said="")
        self._bar.start()

    def hide(self) -> None:
        """Take the bar away, so that a reader has the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move on by an epoch."""
        self._done = trainer.current_epoch + 1
        if self._bar is None:  # a reader had the screen
            self.show(self._done, self._epochs)
        assert self._bar is not None
        loss, right = (float(trainer.callback_metrics[k]) for k in ("loss", "accuracy"))
        said = f"loss {loss:.3f}  accuracy {right:.3f}"
        self._bar.update(self._task, completed=self._done, said=said)
        if not self._console.is_terminal and self._done % max(1, self._epochs // 10) == 0:
            self._console.print(f"Epoch {self._done} of {self._epochs}: {said}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self.hide()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self.hide()


def epoch_bar(console: Console) -> Progress:
    """The bar over epochs."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
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
