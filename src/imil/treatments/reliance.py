"""How far a model's decision follows what lies in a square, measured by exchanging the square.

A square of an image is replaced by the same square of an image of one class, then of another. If
the model's score moves with the class of the image that the square came from, the model reads the
class from that square. Where readers call the square irrelevant, that is a shortcut. Labels of
the exchanged images are not needed by the model, and none of the measurement's images is a test
image.

Source: our own. Related: mixed-random backgrounds (Xiao et al. 2021), counter-examples (Teso and
Kersting 2019), shortcut tests (Geirhos et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imil.errors import SettingsError
from imil.grid import Grid

Logits = Callable[[Tensor], NDArray[np.float64]]  # images (B, C, H, W) -> logits (B, K)
Views = Callable[[Sequence[int]], Tensor]  # positions -> images (B, C, H, W)
SAMPLES = 160  # images whose squares are exchanged


@dataclass(frozen=True)
class Reliance:
    """How far the model relies on some squares of a grid.

    Args:
        squares: their numbers, from 1.
        share: of each: how far the exchange of this square alone moves the score, as a share of
            the distance between the mean scores of two classes; 0: not at all, 1: all the way.
        z: of each: its share divided by the standard error.
    """

    squares: tuple[int, ...]
    share: tuple[float, ...]
    z: tuple[float, ...]

    def relied_on(self, *, least: float, z: float) -> tuple[int, ...]:
        """The squares with at least this share, and at least this many standard errors from 0."""
        rows = zip(self.squares, self.share, self.z, strict=True)
        return tuple(square for square, share, far in rows if share >= least and far >= z)


def measure_reliance(
    logits: Logits,
    views: Views,
    labels: NDArray[np.int64],
    grid: Grid,
    squares: Sequence[int],
    rng: np.random.Generator,
    *,
    samples: int = SAMPLES,
) -> Reliance:
    """The reliance of a model on these squares of its training images.

    Args:
        logits: the model.
        views: the training images as the model is given them.
        labels: (N,), in [0, K).
        grid: the grid of the squares.
        squares: numbers, from 1.
        rng: chooses images, pairs of classes, and the images that squares come from.
        samples: images whose squares are exchanged; all, if there are fewer.
    Raises: SettingsError: fewer than two classes among the labels.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        raise SettingsError(
            "all training images are of one class: how far the model relies on a square can be "
            "measured with two classes or more"
        )
    rows = rng.permutation(len(labels))[:samples]
    pairs = np.stack([rng.choice(classes, 2, replace=False) for _ in rows])
    donors = np.array([[rng.choice(np.flatnonzero(labels == k)) for k in pair] for pair in pairs])
    images = views(rows.tolist())
    first, second = (views(donors[:, k].tolist()) for k in (0, 1))
    distance = float((_contrast(logits(first), pairs) - _contrast(logits(second), pairs)).mean())
    shares, far = [], []
    for square in squares:
        mask = torch.from_numpy(grid.mask([square], *images.shape[2:])).to(images.device)
        with_first, with_second = (
            _contrast(logits(torch.where(mask, donor, images)), pairs) for donor in (first, second)
        )
        moved = with_first - with_second
        error = moved.std(ddof=1) / np.sqrt(len(moved)) if len(moved) > 1 else np.inf
        shares.append(float(moved.mean() / distance) if distance > 0 else 0.0)
        far.append(float(moved.mean() / error) if error > 0 else 0.0)
    return Reliance(tuple(squares), tuple(shares), tuple(far))


def _contrast(logits: NDArray[np.floating[Any]], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The logit of the first class of each pair above that of the second, (B,)."""
    rows = np.arange(len(logits))
    return np.asarray(logits[rows, pairs[:, 0]] - logits[rows, pairs[:, 1]], np.float64)
