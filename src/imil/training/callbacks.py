"""What follows an epoch of `imil train`: its row of the history."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from typing import Any

import pandas as pd

from imil.atomic_files import write_table
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
