"""The network that `imil train` trains, with its loss, and the order in which samples are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch.gradcam import LayerFeatures, features_of, twice_differentiable
from imil.pytorch.tokens import leave_out, patch_mask
from imil.training.samples.augment import Augment
from imil.training.samples.mixes import Mixed
from imil.treatments import Batch, Draw, Treatment


@dataclass(frozen=True)
class StepResult:
    """What a training step gives, on the device.

    Args:
        loss: scalar, in the graph.
        accuracy: scalar, share of images whose own label is predicted, in [0, 1].
        logits: (B, K), of the images as they are trained on, without gradients.
    """

    loss: Tensor
    accuracy: Tensor
    logits: Tensor


class Classifier(nn.Module):
    """A network on raw pixels: scales, normalises, treats, augments, mixes; cross-entropy.

    Args:
        net: (B, 3, S, S) normalised -> logits (B, K); of volumes, (B, 1, D, S, S).
        optimizer: `sgd`, `adam` or `adamw`.
        lr: learning rate.
        momentum: of SGD (paper: none is named).
        weight_decay: `default` is that of the optimizer.
        mix: mixes a batch, see `imil.training.samples.mixes`.
        augment: changes its images before, see `imil.training.samples.augment`.
        treatment: what the corrections of a batch do to it, before both.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        optimizer: str,
        lr: float,
        momentum: float,
        mix: Mixed,
        augment: Augment,
        treatment: Treatment,
        weight_decay: Literal["default"] | float = "default",
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.net = net
        self.treatment = treatment
        self.layer: str | None = None  # of the features that the treatment's loss is given
        self._optimizer, self._lr, self._momentum = optimizer, lr, momentum
        self._weight_decay = weight_decay
        self._mix, self._augment = mix, augment
        self._restore_patches: Callable[[], None] = _nothing
        config: dict[str, Any] = getattr(net, "pretrained_cfg", {})
        self.field: Tensor | None
        self.register_buffer("field", None, persistent=False)  # (S, S), True where it sees
        axes = len(config.get("input_size", (3, 224, 224))) - 1
        for name in ("mean", "std"):
            values = _per_channel(config.get(name, (0.5,)), axes)
            self.register_buffer(name, values, persistent=False)

    def see(self, grid: Grid, squares: Sequence[int], size: int, *, tokens: bool = False) -> None:
        """From now on, everything outside these squares is black in every image, also in use.

        Args:
            size: height and width of the images, in pixels.
            tokens: whether a vision transformer is not given the patches of other squares either.
        """
        keep = torch.from_numpy(grid.mask(squares, size, size))
        self.field = None if keep.all() else keep.to(self.mean.device)
        self._restore_patches()
        self._restore_patches = _nothing
        if tokens and len(squares) < grid.squares:
            self._restore_patches = leave_out(self.net, patch_mask(self.net, grid, squares, size))

    def seen(self, pixels: Tensor) -> Tensor:
        """Raw pixels (B, C, S, S) within the field of view; the rest is black."""
        return pixels if self.field is None else pixels.masked_fill(~self.field, 0)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, K) of raw pixels (B, 1 or 3, S, S), 0 to 255."""
        logits: Tensor = self.net(self.normalised(self.seen(pixels)))
        return logits

    def normalised(self, pixels: Tensor) -> Tensor:
        """What the network takes, (B, 3, S, S), of raw pixels."""
        # a grey image is shown three times; black stays black until here
        return (pixels.float() / 255 - self.mean) / self.std

    def training_step(self, batch: Batch, draw: Draw, rng: torch.Generator) -> StepResult:
        """Loss and accuracy of a batch of originals.

        Args:
            batch: raw pixels.
            draw: gives the treatment other originals.
            rng: what is random in the treatment.
        """
        labels = batch.labels
        batch = self._prepared(batch, draw, rng)
        logits, features = self._logits_and_features(batch.images)
        loss = nn.functional.cross_entropy(logits.float(), batch.labels)
        extra = self.treatment.loss(logits, features, batch)
        with torch.no_grad():
            accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return StepResult(loss if extra is None else loss + extra, accuracy, logits.detach())

    def _logits_and_features(self, images: Tensor) -> tuple[Tensor, LayerFeatures | None]:
        # not `self`: what is outside the field of view was black before the image was augmented
        if self.layer is None and self.treatment.needs_gradients:
            with twice_differentiable():
                return self.net(self.normalised(images)), None
        if self.layer is None:
            return self.net(self.normalised(images)), None
        # the layer is named from this module
        with features_of(self.net, self.layer.removeprefix("net.")) as features:
            logits = self.net(self.normalised(images))
        return logits, features[0]

    def _prepared(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch as it is trained on: treated, augmented and mixed."""
        batch = replace(batch, images=self.seen(batch.images))
        if batch.keep is not None or self.treatment.all_images:
            batch = self.treatment.batch(batch, draw, rng)
        images, keep = self._augment(batch.images, batch.keep)
        mixed, targets = self._mix(images.float(), batch.labels)
        if self.treatment.needs_gradients and keep is not None:
            mixed = mixed.detach().requires_grad_()
        return replace(batch, images=mixed, labels=targets, keep=keep)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """SGD, Adam or AdamW over all weights; the module must be on its device by then."""
        weights = list(self.parameters())
        fused = weights[0].is_cuda or None  # one kernel for all weights; None: as PyTorch does
        more: dict[str, Any] = {}
        if self._weight_decay != "default":
            more["weight_decay"] = self._weight_decay
        if self._optimizer == "sgd":
            more["momentum"] = self._momentum
            return torch.optim.SGD(weights, lr=self._lr, fused=fused, **more)
        kind = torch.optim.Adam if self._optimizer == "adam" else torch.optim.AdamW
        return kind(weights, lr=self._lr, fused=fused, **more)


def _nothing() -> None:
    """Undoes nothing."""


def _per_channel(values: tuple[float, ...], axes: int) -> Tensor:
    return torch.tensor(values).view(1, -1, *(1,) * axes)


class EpochOrder:
    """A shuffle that depends on the seed and the epoch alone.

    So a training that is resumed at an epoch draws what the uninterrupted one would have drawn.
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed, self._epoch = n, seed, 0
        self._urn, self._removed = np.arange(n), np.zeros(0, np.intp)

    def oversample(self, positions: Sequence[int], times: int) -> None:
        """From the next epoch on, these are drawn `times` as often as the others.

        An epoch stays as long as it was: n are drawn, without replacement, from an urn in which
        these positions lie `times` times.
        """
        again = np.asarray(sorted(set(positions)), np.intp)
        self._urn = np.concatenate([np.arange(self._n), *[again] * (times - 1)])

    def remove(self, positions: Sequence[int]) -> None:
        """From the next epoch on, these are not drawn, and an epoch is shorter by their number.

        Raises: SettingsError: fewer than two samples would be left.
        """
        self._removed = np.unique(np.asarray(positions, np.intp))
        if len(self) < 2:
            raise SettingsError(
                f"the readers' verdicts take {len(self._removed)} of {self._n} training images "
                "out of training, and at least 2 must be left: train with --flagged leave"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0; the loop calls this before each."""
        self._epoch = epoch

    @property
    def epoch(self) -> int:
        """Which epoch it is, counted from 0."""
        return self._epoch

    def __len__(self) -> int:
        """The number of samples that are drawn in an epoch."""
        return self._n - len(self._removed)

    def __iter__(self) -> Iterator[int]:
        """Positions in this epoch's order."""
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._urn))
        drawn = self._urn[order]
        if len(self._removed):
            drawn = drawn[~np.isin(drawn, self._removed)]
        yield from drawn[: len(self)].tolist()
