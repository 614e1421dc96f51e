"""IMIL as a callback for Lightning.

train = CorrectedDataset(raw, transform=augment, view=normalise)
imil = IMIL(train, ask, store="run/imil.sqlite", imil_epoch=70)
Trainer(max_epochs=100, callbacks=[imil]).fit(module, DataLoader(train, 64, shuffle=True))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()  # Lightning imports it too, and would stop where it does not fit torch
from lightning.pytorch import Callback, LightningModule, Trainer  # noqa: E402

from imil import pytorch  # noqa: E402
from imil.cases import Reader, RoundSettings  # noqa: E402
from imil.errors import SettingsError  # noqa: E402
from imil.grid import Grid  # noqa: E402
from imil.predictions import Predictions  # noqa: E402
from imil.pytorch import CorrectedDataset, TorchModel  # noqa: E402
from imil.round_options import (  # noqa: E402
    GRID_SIZE,
    IMIL_EPOCH,
    NUM_OUTLIERS,
    check_epochs,
)
from imil.rounds import Say  # noqa: E402
from imil.store import Store  # noqa: E402


class IMIL(Callback):
    """The paper's training callback (section 3.1), for Lightning.

    The module's `forward` must give logits (B, K). A checkpoint that is resumed from finds
    earlier corrections in the store, and a round that was stopped goes on where it was.

    Args:
        samples, ask, store, run, imil_epoch, num_outliers, grid_size, layer, batch_size, say,
            seed: as for `imil.pytorch.IMIL`.
        model: a `TorchModel` of the module that is trained, where there is one already; it has a
            layer and a batch_size of its own.
    Attributes:
        predictions: set it before an epoch's end where you have the predictions of the training
            set already; the round takes them in place of a pass of its own.
    Raises: SettingsError: a setting is out of range, or training runs on several devices.
    """

    predictions: Predictions | None = None

    def __init__(
        self,
        samples: CorrectedDataset,
        ask: Reader,
        *,
        store: Store | Path | str,
        run: str = "run",
        imil_epoch: int | Sequence[int] = IMIL_EPOCH,
        num_outliers: int = NUM_OUTLIERS,
        grid_size: int | str | Grid = GRID_SIZE,
        layer: str | None = None,
        batch_size: int = 64,
        say: Say = print,
        seed: int = 0,
        model: TorchModel | None = None,
    ) -> None:
        self._make = lambda module: pytorch.IMIL(
            samples,
            model or module,
            ask,
            store=store,
            run=run,
            imil_epoch=imil_epoch,
            num_outliers=num_outliers,
            grid_size=grid_size,
            layer=layer,
            batch_size=batch_size,
            say=say,
            seed=seed,
        )
        check_epochs(imil_epoch)  # said now rather than when training starts
        RoundSettings(num_outliers, Grid.parse(grid_size))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back what earlier rounds corrected, and hold a round that is due.

        Raises: as `imil.pytorch.IMIL.begin`; SettingsError: training runs on several devices.
        """
        if trainer.world_size > 1:
            raise SettingsError(
                f"training runs on {trainer.world_size} devices: IMIL needs one (devices=1)"
            )
        self._imil = self._make(pl_module)
        last = trainer.max_epochs or 0  # below 1: without an end
        for late in self._imil.imil_epoch:
            if 0 < last < late:
                self._imil.say(
                    f"No round will be held after epoch {late}: training ends at {last}."
                )
        if trainer.current_epoch > 0:
            predictions, self.predictions = self.predictions, None
            self._imil.restore(trainer.current_epoch, predictions)
        else:
            self._imil.begin()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold the round that is due after this epoch."""
        predictions, self.predictions = self.predictions, None
        self._imil.after_epoch(trainer.current_epoch + 1, predictions)
