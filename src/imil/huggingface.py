"""IMIL as a callback of the Trainer of Hugging Face's transformers.

train = CorrectedDataset(raw, transform=augment, view=normalise)
rounds = imil.pytorch.IMIL(train, model, ask, store="run/imil.sqlite", imil_epoch=70)
trainer = Trainer(model, args, train_dataset=train, data_collator=imil.huggingface.collate,
                  callbacks=[imil.huggingface.IMIL(rounds)])
trainer.train()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import default_collate

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()  # transformers imports it too, and would stop where it does not fit torch
from transformers import (  # noqa: E402
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from imil import pytorch  # noqa: E402
from imil.cases import Round  # noqa: E402
from imil.errors import DataError, RoundPaused  # noqa: E402
from imil.pytorch.training_start import start_training  # noqa: E402
from imil.round_numbers import logged_numbers  # noqa: E402

STATE = "imil"  # among the states of callbacks in trainer_state.json


def collate(items: Sequence[tuple[Any, ...]]) -> dict[str, torch.Tensor]:
    """The batch that image classifiers of transformers are called with.

    Args:
        items: B pairs of image (C, H, W) and class, as a `CorrectedDataset` gives them.
    Returns: `pixel_values` float (B, C, H, W), `labels` int (B,).
    Raises: DataError: labels are shares of classes, or items are not pairs.
    """
    batch = default_collate(list(items))
    if len(batch) != 2 or batch[1].is_floating_point():
        raise DataError(
            "transformers takes pairs of an image and the number of its class, and the items of "
            "this CorrectedDataset are others (return_keep, or a treatment that mixes classes): "
            "write a data_collator and a compute_loss_func for them"
        )
    return {"pixel_values": batch[0], "labels": batch[1]}


class IMIL(TrainerCallback):
    """The paper's training callback (section 3.1), for a `Trainer`.

    A training that is resumed (`trainer.train(resume_from_checkpoint=...)`) finds earlier
    corrections in the store, and a round that was stopped goes on where it was: the Trainer saves
    a checkpoint when a round is paused, and then raises `RoundPaused`.

    Args:
        imil: of the model that the Trainer trains.
        log: the Trainer's method `log`, which gets the numbers of each round, see
            `imil.round_numbers`; None: nothing is logged. A callback that is made before its
            Trainer is given it later: `callback.log = trainer.log`.
    """

    def __init__(
        self, imil: pytorch.IMIL, *, log: Callable[[dict[str, float]], None] | None = None
    ) -> None:
        self.imil, self.log = imil, log
        self._paused: RoundPaused | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put back what earlier rounds corrected, and hold a round that is due.

        Raises: as `imil.pytorch.training_start.start_training`.
        """
        self._paused = None
        if STATE in state.stateful_callbacks:
            self.imil.load_state_dict(state.stateful_callbacks[STATE])
        held = start_training(
            self.imil,
            data=kwargs["train_dataloader"],
            module=kwargs["model"],
            epoch=int(state.epoch or 0) if state.global_step else None,
            last=int(args.num_train_epochs) if args.max_steps < 0 else None,
            processes=args.world_size,
        )
        self._log(held)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Hold the round that is due after this epoch; none in the middle of one."""
        if state.epoch != int(state.epoch or 0):  # training ends here
            return
        try:
            self._log(self.imil.after_epoch(int(state.epoch)))
        except RoundPaused as paused:
            self._paused = paused
            control.should_save = control.should_training_stop = True
        state.stateful_callbacks[STATE] = self.imil.state_dict()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the treatment change the trained model, if it does.

        Raises: RoundPaused: the reader stopped.
        """
        if self._paused is not None:
            raise self._paused
        self.imil.finish(int(state.epoch or 0))

    def _log(self, held: Round | None) -> None:
        if held is not None and self.log is not None:
            self.log(logged_numbers(self.imil.store, held))
