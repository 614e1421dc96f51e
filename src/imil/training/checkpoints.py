"""A run's checkpoints: written beside the training, and no more often than they are worth."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from imil.atomic_files import atomic_write, link_or_copy
from imil.errors import ImilError
from imil.run_folder import RunFolder
from imil.training.throttle import Throttle


class Writer(TorchCheckpointIO):
    """Writes a checkpoint while training goes on; whole, or not at all.

    Memory meanwhile: the checkpoint twice, once as tensors and once as bytes; never more, for
    the next one waits.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "imil-checkpoint")
        self._writing: Future[None] | None = None
        self._throttle = Throttle()

    def due(self) -> bool:
        """Whether the last one is written and long enough ago."""
        return (self._writing is None or self._writing.done()) and self._throttle.due()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Copy what is to be written and return; `settle` waits for the end.

        Raises: DataError: the one before could not be written.
        """
        self.settle()
        # on the host, and here: the thread must not stand in the way of a GPU
        copied = apply_to_collection(checkpoint, Tensor, lambda t: t.detach().to("cpu", copy=True))
        self._writing = self._pool.submit(self._write, copied, Path(path))

    def settle(self) -> None:
        """Wait until everything is on disk. Raises: DataError: it could not be written."""
        writing = self._writing
        if writing is not None:
            wait([writing])  # a Ctrl-C here must not forget it
            self._writing = None
            writing.result()

    def _write(self, checkpoint: dict[str, Any], path: Path) -> None:
        with self._throttle.doing(), atomic_write(path) as half:
            made = BytesIO()
            torch.save(checkpoint, made)  # straight into a file, a full disk has no name
            half.write_bytes(made.getbuffer())


class Checkpoints(Callback):
    """A checkpoint now and then and after the last epoch, and one that stays before each round.

    Args:
        folder: where they lie.
        kept: completed epochs after which one is kept; it is on disk when the callback returns.
        writer: writes them; must be a plugin of the trainer.
    """

    def __init__(self, folder: RunFolder, kept: tuple[int, ...], writer: Writer) -> None:
        self._folder, self._kept, self._writer = folder, kept, writer

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write one where it is due."""
        epoch = trainer.current_epoch + 1
        if epoch in self._kept:
            trainer.save_checkpoint(self._folder.at(epoch))
            self._writer.settle()
            link_or_copy(self._folder.at(epoch), self._folder.last)  # a round waits: write it once
        elif epoch == trainer.max_epochs or self._writer.due():
            trainer.save_checkpoint(self._folder.last)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for what is being written."""
        self._writer.settle()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Wait for what is being written: a run that is stopped goes on from there."""
        try:
            self._writer.settle()
        except ImilError as error:  # what stopped the training comes first
            exception.add_note(str(error))
