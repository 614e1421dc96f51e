"""The interface of a treatment: four moments, each of which may be left as it is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imil.cases import Reading, Samples
from imil.grid import Grid
from imil.treatments.batch import Batch

Draw = Callable[[int], Batch]
Relevance = Mapping[int, NDArray[np.floating[Any]]]


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


class Treatment:
    """How readings change training. All four moments are optional.

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

    def relevance(
        self, readings: Mapping[int, Reading], model: Any, samples: Samples
    ) -> Relevance | None:
        """What else is selected, once after a round; None leaves it at the readings.

        Args:
            readings: position of the sample -> its reading in this round.
            model: the model that the round asked; predicts and explains (`imil.cases.Model`).
            samples: the training set.
        Returns: position -> share of each square that matters, (rows, cols), in [0, 1]; squares of
            0.5 and more are kept from now on. Other samples than the readers' may be among them.
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


def selected_squares(relevance: NDArray[np.floating[Any]]) -> Sequence[int]:
    """The squares, numbered from 1, of which at least half matters.

    >>> selected_squares(np.array([[0.2, 0.5], [1.0, 0.0]]))
    [2, 3]
    """
    return [int(i) + 1 for i in np.flatnonzero(np.asarray(relevance) >= 0.5)]
