"""The Lightning module that `imil train` fits, and the order in which samples are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import Sampler

from imil.training.augment import Change
from imil.training.compile_trial import Call
from imil.training.mixes import Mixed


class Classifier(LightningModule):
    """A network on raw pixels: scales, normalises, mixes, and learns by cross-entropy.

    Args:
        net: (B, 3, S, S) normalised -> logits (B, K).
        optimizer: `sgd`, `adam` or `adamw`.
        lr: learning rate.
        momentum: of SGD (paper: none is named).
        mix: mixes a batch, see `imil.training.mixes`.
        augment: changes its images before, see `imil.training.augment`.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        optimizer: str,
        lr: float,
        momentum: float,
        mix: Mixed,
        augment: Change,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.net = net
        self._learning: Call | None = None
        self._optimizer, self._lr, self._momentum = optimizer, lr, momentum
        self._mix, self._augment = mix, augment
        config: dict[str, Any] = getattr(net, "pretrained_cfg", {})
        self.register_buffer("mean", _per_channel(config.get("mean", (0.5,))), persistent=False)
        self.register_buffer("std", _per_channel(config.get("std", (0.5,))), persistent=False)

    def learn_through(self, net: Call) -> None:
        """Train through what computes the same as the network, with its weights.

        Predictions and heat-maps still go through the network itself.
        """
        self._learning = net

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, K) of raw pixels (B, 1 or 3, S, S), 0 to 255."""
        logits: Tensor = self.net(self.normalised(pixels))
        return logits

    def normalised(self, pixels: Tensor) -> Tensor:
        """What the network takes, (B, 3, S, S), of raw pixels."""
        # a grey image is shown three times; black stays black until here
        return (pixels.float() / 255 - self.mean) / self.std

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """The loss of a batch of raw pixels and labels."""
        pixels, labels = batch
        mixed, targets = self._mix(self._augment(pixels).float(), labels)
        logits = (self._learning or self.net)(self.normalised(mixed))
        loss = nn.functional.cross_entropy(logits.float(), targets)
        with torch.no_grad():
            right = (logits.argmax(dim=1) == labels).float().mean()
        self.log_dict(
            {"loss": loss, "accuracy": right}, on_step=False, on_epoch=True, batch_size=len(labels)
        )
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD, Adam or AdamW over all weights."""
        weights = list(self.parameters())
        fused = weights[0].is_cuda or None  # one kernel for all weights; None: as PyTorch does
        if self._optimizer == "sgd":
            return torch.optim.SGD(weights, lr=self._lr, momentum=self._momentum, fused=fused)
        made = torch.optim.Adam if self._optimizer == "adam" else torch.optim.AdamW
        return made(weights, lr=self._lr, fused=fused)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


class EpochOrder(Sampler[int]):
    """A shuffle that depends on the seed and the epoch alone.

    So a training that is resumed at an epoch draws what the uninterrupted one would have drawn.
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed, self._epoch = n, seed, 0
        self._urn = np.arange(n)

    def oversample(self, positions: Sequence[int], times: int) -> None:
        """From the next epoch on, these are drawn `times` as often as the others.

        An epoch stays as long as it was: n are drawn, without replacement, from an urn in which
        these positions lie `times` times.
        """
        again = np.asarray(sorted(set(positions)), np.intp)
        self._urn = np.concatenate([np.arange(self._n), *[again] * (times - 1)])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        """The number of samples."""
        return self._n

    def __iter__(self) -> Iterator[int]:
        """Positions in this epoch's order."""
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._urn))
        yield from self._urn[order[: self._n]].tolist()
