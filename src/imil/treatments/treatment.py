"""The interface of a treatment: six moments, each of which may be left as it is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from imil.cases import Reading, Samples
from imil.grid import Grid
from imil.treatments.batch import Batch

Draw = Callable[[int], Batch]
ASKED = ("relevance", "field", "finish")  # moments at which a treatment is given the model


class Features(Protocol):
    """The output of the layer that heat-maps are drawn from, in the graph of a training step."""

    @property
    def maps(self) -> Tensor:
        """The output as a map of the image, (B, D, rows, cols)."""
        ...

    def cams(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Heat-maps (B, rows, cols), not negative, through which a loss reaches the weights.

        Args:
            outputs: logits (B, K) of the same step.
            classes: int (B,), the class to explain in each image.
        """
        ...


@dataclass(frozen=True)
class Field:
    """The squares of every image that the model sees; the others are black.

    Args:
        grid: the grid of the squares.
        squares: their numbers, from 1.
        evidence: what the decision rests on: plain JSON values, with a `sentence` for people.
    """

    grid: Grid
    squares: tuple[int, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Squares of training images that are kept from now on, as if a reader had selected them.

    Args:
        grid: the grid of the squares.
        squares: position of the sample -> their numbers, from 1. Samples that nobody read may be
            among them; those that are not stay as they were.
        evidence: what the decision rests on: plain JSON values, with a `sentence` for people.
    """

    grid: Grid
    squares: Mapping[int, tuple[int, ...]]
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Treatment:
    """How readings change training. All six moments are optional.

    The same treatment works in `imil train`, in the callbacks and in a loop of your own.
    `CorrectedDataset` applies `batch` to one sample at a time, in the loader's workers.
    """

    # whether `batch` is called for images too of which none is corrected
    all_images: ClassVar[bool] = False
    # whether `loss` is to be given the features
    needs_features: ClassVar[bool] = False
    # whether `loss` differentiates by the images; set `images.requires_grad_()` in your own loop
    needs_gradients: ClassVar[bool] = False
    # whether `batch` gives labels as shares of the classes
    label_shares: ClassVar[bool] = False
    # whether MixUp or CutMix may follow, which mix images, their labels and not their masks
    allows_mix: ClassVar[bool] = True

    @property
    def weight(self) -> int:
        """How many times as often as another sample a corrected one is drawn."""
        return 1

    @property
    def takes_shares(self) -> bool:
        """Whether `batch` takes a `keep` of shares of readers; others are refused with `soft`."""
        return False

    @property
    def takes_volumes(self) -> bool:
        """Whether images may be volumes (C, D, H, W) under a grid of cuboids; most need a plane."""
        return False

    @property
    def decides_after_round(self) -> bool:
        """Whether it is given the model, after a round or at the end."""
        kind = type(self)
        return any(getattr(kind, name) is not getattr(Treatment, name) for name in ASKED)

    @property
    def needs_progress(self) -> bool:
        """Whether it depends on how much of the training is over (`Batch.progress`)."""
        return False

    @property
    def leaves_out_tokens(self) -> bool:
        """Whether a vision transformer is not given the patches outside of the field."""
        return False

    def check(self, model: Any, samples: Samples, grid: Grid) -> None:
        """Whether all is there that the treatment needs; called before training.

        Args:
            model: that will train (`imil.pytorch.TorchModel`).
            samples: the training set.
            grid: of the readings to come.
        Raises: SettingsError: something is not, such as a second class or a linear last layer.
        """

    def relevance(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
        previous: Mapping[int, tuple[int, ...]] | None = None,
    ) -> Selection | None:
        """What else is selected; None leaves it at the readings.

        Called after a round, and again 1, 2, 4, 8 … epochs later.

        Args:
            readings, grid, model, samples, rng: as for `field`.
            previous: position -> the squares of that grid that were kept so until now; None: none.
        Raises: SettingsError: the readings do not allow it; training then goes on as if these
            samples had not been read.
        """
        return None

    def field(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
        previous: Field | None = None,
    ) -> Field | None:
        """The squares that the model sees in every image, in training and in use; None: all.

        Called after a round, and again 1, 2, 4, 8 … epochs later, since a model that is kept from
        one shortcut may find another.

        Args:
            readings: position of the sample -> its newest reading, of all rounds so far.
            grid: the grid of the readings.
            model: the model that the round asked (`imil.pytorch.TorchModel`).
            samples: the training set.
            rng: from the run's seed and the epoch.
            previous: what the model sees until now, on the same grid; None: all squares.
        Raises: SettingsError: the readings do not allow it; training then goes on without.
        """
        return None

    def batch(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch as it is trained on; called for each, on the device, before augmentation.

        Args:
            batch: originals, raw pixels.
            draw: n -> as many other original training images, on the same device, drawn with `rng`.
            rng: a generator of the CPU, from the run's seed and the epoch: draw from it, and move
                what was drawn to the device, so that numbers do not depend on where it computes.
        """
        return batch

    def loss(self, outputs: Tensor, features: Features | None, batch: Batch) -> Tensor | None:
        """What is added to the loss of a batch, a scalar; None adds nothing.

        Args:
            outputs: logits (B, K).
            features: where heat-maps are drawn from; None unless `needs_features`.
            batch: as it was trained on, augmented and mixed; `keep` has moved with the images.
        """
        return None

    def finish(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
    ) -> Mapping[str, Any] | None:
        """Change the trained model, once, after the last epoch and before anything is predicted.

        Called in `imil train`, and again where the end of a run was interrupted: with the weights
        of the last epoch each time.

        Args:
            readings, grid, model, samples, rng: as for `field`.
        Returns: what was changed: plain JSON values, with a `sentence` for people; None: nothing.
        Raises: SettingsError: the readings do not allow it; the model then stays as it is.
        """
        return None
