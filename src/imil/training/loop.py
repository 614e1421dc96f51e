"""The training loop of `imil train`.

Plain PyTorch, on one device or as one of several ranks (`imil.training.ranks`). Lightning Fabric
would do two things here, move the module and enter autocast, and its import takes as long as a
third of all others together: it imports torchmetrics, and that SciPy's signal processing and
matplotlib (1.2 of 5.1 s of processor time, without it 3.9).
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from imil.training.classifier import Classifier, EpochOrder, StepResult
from imil.training.epoch_predictions import EpochPredictions
from imil.training.samples.batches import Batches
from imil.treatments import Batch, Draw

if TYPE_CHECKING:
    from imil.training.ranks.team import Team


@dataclass(frozen=True)
class EpochResult:
    """What an epoch of training came to.

    Args:
        epoch: completed epochs, this one included.
        epochs: that the training has in all.
        loss, accuracy: means over the images of the epoch, as they were trained on.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float


class Loop:
    """Trains a classifier epoch by epoch; the random numbers of each depend on the seed and itself.

    Args:
        module: what is trained; it is moved to the device.
        batches: the training set.
        order: the order of its samples, told which epoch it is.
        epochs: completed epochs at which training ends.
        seed: of all that is random.
        device: where it trains.
        bfloat16: whether it multiplies in bfloat16, with weights in float32.
        lr_schedule: `constant` or `cosine`, see `lr_factor`.
        record: takes up what the steps predict; None where nobody needs it.
        team: all ranks, of which this trains its part of each batch; None for one device.
        before_epoch: called before each epoch that `run` trains.
    """

    def __init__(
        self,
        module: Classifier,
        batches: Batches,
        order: EpochOrder,
        *,
        epochs: int,
        seed: int,
        device: torch.device,
        bfloat16: bool,
        lr_schedule: str = "constant",
        record: EpochPredictions | None = None,
        team: Team | None = None,
        before_epoch: Callable[[Loop], object] = lambda _: None,
    ) -> None:
        self.module, self.batches, self.order = module.to(device), batches, order
        self.optimizer = module.make_optimizer()
        self.epoch, self.epochs = 0, epochs  # completed, and in all
        self._seed, self._device, self._bfloat16 = seed, device, bfloat16
        self._lr_schedule, self.record = lr_schedule, record
        self._team, self._before_epoch = team, before_epoch
        self._parallel: Callable[[Batch, Draw, torch.Generator], StepResult] | None = None
        self._lr = self.optimizer.param_groups[0]["lr"]  # a checkpoint has that of its last step

    def run(self, begin: Callable[[int], None], after_epoch: Callable[[EpochResult], None]) -> None:
        """Train from `epoch` to the end.

        Args:
            begin: called first, with the completed epochs.
            after_epoch: called after each epoch.
        """
        if self.epoch >= self.epochs:
            return
        be_deterministic()
        self.module.train()
        begin(self.epoch)
        while self.epoch < self.epochs:
            self._before_epoch(self)
            result = self.train_epoch()
            self.epoch = result.epoch
            after_epoch(result)

    def train_epoch(self) -> EpochResult:
        """Train the next epoch, on all ranks at the same time; `epoch` stays as it is."""
        self.order.set_epoch(self.epoch)
        # rank 0 draws what one device draws, the others something else
        rank = () if self._team is None or self._team.rank == 0 else (2, self._team.rank)
        torch.manual_seed(_seed(self._seed, self.epoch, *rank))  # mixes and dropout draw from it
        rng = torch.Generator().manual_seed(_seed(self._seed, self.epoch, 1, *rank))

        def draw(n: int) -> Batch:
            return self.batches.draw(n, rng)

        loss = accuracy = torch.zeros((), device=self._device)
        images = 0
        for i, batch in enumerate(self.batches):
            self._set_lr(self.epoch + i / len(self.batches))
            batch = replace(batch, progress=self.epoch / self.epochs)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
                step = self._step(batch, draw, rng)
            self.optimizer.zero_grad()
            self._weighted(step.loss, i).backward()
            self.optimizer.step()
            # summed where they are: to read them would wait for the device
            loss = loss + step.loss.detach() * len(batch.rows)
            accuracy = accuracy + step.accuracy * len(batch.rows)
            images += len(batch.rows)
            if self.record is not None:
                self.record.add(batch.rows, step.logits)
        if self.record is not None:
            self.record.end_epoch(self._team)
        if self._team is None:
            means = float(loss / images), float(accuracy / images)
        else:
            means = self._means(loss, accuracy, images)
        return EpochResult(self.epoch + 1, self.epochs, *means)

    def _step(self, batch: Batch, draw: Draw, rng: torch.Generator) -> StepResult:
        if self._team is None:
            return self.module.training_step(batch, draw, rng)
        if self._parallel is None:
            self._parallel = self._team.parallel(self.module, batch.images[:2])
        return self._parallel(batch, draw, rng)

    def _weighted(self, loss: Tensor, batch: int) -> Tensor:
        """The loss whose mean over the ranks is the mean over all images of the batch."""
        if self._team is None:
            return loss
        return loss * self.batches.weight(batch)

    def _means(self, loss: Tensor, accuracy: Tensor, images: int) -> tuple[float, float]:
        """Means over the images of all ranks, whose running averages become the same."""
        assert self._team is not None
        self._team.average_statistics(self.module)
        count = torch.tensor(images, device=self._device)
        loss_sum, accuracy_sum, total = self._team.sums(loss, accuracy, count)
        return loss_sum / total, accuracy_sum / total

    def _set_lr(self, epochs_done: float) -> None:
        """Set the learning rate of a step, which depends on the completed steps alone."""
        lr = self._lr * lr_factor(self._lr_schedule, epochs_done / self.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of the training; random numbers come from seed and epoch."""
        state = {
            "epoch": self.epoch,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.record is not None:
            state["epoch_predictions"] = self.record.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        if self.record is not None:
            self.record.load_state_dict(state.get("epoch_predictions"), self.epoch)


def lr_factor(schedule: str, done: float) -> float:
    """What the learning rate is multiplied by, in [0, 1].

    Args:
        schedule: `constant`, or `cosine`: from 1 to 0 along half a cosine.
        done: share of the training's steps that are completed, in [0, 1].
    Source: Loshchilov and Hutter 2017, eq. 5, without restarts.

    >>> [round(lr_factor("cosine", done), 3) for done in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """
    return 1.0 if schedule == "constant" else (1 + math.cos(math.pi * done)) / 2


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries may draw from it
    torch.manual_seed(seed)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def be_deterministic() -> None:
    """The same sums in every run; some operations on a GPU have no such form, and only warn."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # no operation here reads memory before it is written, and to fill it takes time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
