"""IMIL as a callback for Lightning.

train = CorrectedDataset(raw, transform=augment, view=normalise)
rounds = imil.pytorch.IMIL(train, module, ask, store="run/imil.sqlite", imil_epoch=70)
trainer = Trainer(max_epochs=100, callbacks=[imil.lightning.IMIL(rounds)])
trainer.fit(module, DataLoader(train, 64, shuffle=True))
"""

from __future__ import annotations

from typing import Any

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()  # Lightning imports it too, and would stop where it does not fit torch
from lightning.pytorch import Callback, LightningModule, Trainer  # noqa: E402

from imil import pytorch  # noqa: E402
from imil.cases import Round  # noqa: E402
from imil.pytorch.training_start import start_training  # noqa: E402
from imil.round_numbers import logged_numbers  # noqa: E402


class IMIL(Callback):
    """The paper's training callback (section 3.1), for a Lightning `Trainer`.

    A checkpoint that is resumed from finds earlier corrections in the store, and a round that was
    stopped goes on where it was. The trainer's loggers get the numbers of each round, see
    `imil.round_numbers`.

    Args:
        imil: of the module that the trainer fits; its `forward` must give logits (B, K).
    """

    def __init__(self, imil: pytorch.IMIL) -> None:
        self.imil = imil

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back what earlier rounds corrected, and hold a round that is due.

        Raises: as `imil.pytorch.training_start.start_training`.
        """
        last = trainer.max_epochs or 0  # below 1: without an end
        held = start_training(
            self.imil,
            data=trainer.train_dataloader,
            module=pl_module,
            epoch=trainer.current_epoch if trainer.global_step else None,
            last=last if last > 0 else None,
            processes=trainer.world_size,
        )
        self._log(trainer, held)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold the round that is due after this epoch."""
        self._log(trainer, self.imil.after_epoch(trainer.current_epoch + 1))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the treatment change the trained model, if it does."""
        self.imil.finish(trainer.current_epoch)

    def _log(self, trainer: Trainer, held: Round | None) -> None:
        """Send the numbers of a round to the trainer's loggers, under `imil/round/...`."""
        if held is None:
            return
        numbers = logged_numbers(self.imil.store, held)
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """What Lightning's checkpoints hold of the treatment's decisions."""
        return self.imil.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint holds; Lightning calls it before training goes on."""
        self.imil.load_state_dict(state_dict)
