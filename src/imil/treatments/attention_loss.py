"""Losses that draw a model's attention into the squares that readers selected.

Images stay as they are. Each loss is the mean over the corrected images of a batch and is added to
the classification loss, times `strength`. Corrected are the images that were read or, with
`images=all`, all training images: those that nobody read by the squares that readings of the others
predict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from imil.cases import Reading, Samples
from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments.batch import Batch
from imil.treatments.option_checks import check_below_one, check_choice, check_range
from imil.treatments.predicted import (
    IRRELEVANT,
    evidence_of,
    focused,
    misleading_squares,
    predict_relevance,
    squares_where,
)
from imil.treatments.relevance import BY, By
from imil.treatments.treatment import Features, Selection, Treatment

STRONGEST = 1e6
TINY = 1e-12  # against division by 0 where a heat-map is 0 everywhere


@dataclass(frozen=True)
class AttentionLoss(Treatment):
    """What the attention losses share.

    Args:
        strength: factor of the loss, 0 or more.
        images: `read`, or `all` training images.
        by: with `all`, what a square is known by: its `position`, the model's `features`, or
            `both`.
        irrelevant: with `all`, a square is outside that a reader would select with at most this
            predicted probability, in [0, 1); by position: that at most this share selected.
    Raises: SettingsError: an option is out of range, or has no effect.
    """

    allows_mix: ClassVar[bool] = False

    strength: float = 1.0
    images: str = "read"
    by: str = "position"
    irrelevant: float = IRRELEVANT

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0, STRONGEST)
        check_choice("images", self.images, ("read", "all"))
        check_choice("by", self.by, BY)
        check_below_one("irrelevant", self.irrelevant)
        if self.images == "read" and (self.by, self.irrelevant) != ("position", IRRELEVANT):
            raise SettingsError(
                "by and irrelevant predict squares of images that nobody read: give images=all, "
                "or leave both out"
            )

    @property
    def decides_after_round(self) -> bool:
        """Whether squares of other images are predicted, for which the model is needed."""
        return self.images == "all"

    def relevance(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
        previous: Mapping[int, tuple[int, ...]] | None = None,
    ) -> Selection | None:
        """The squares of every training image that are relevant; None where those read count alone.

        Raises: SettingsError: the readings do not say which squares are relevant.
        """
        if self.images == "read":
            return None
        predicted = predict_relevance(readings, grid, model, samples, rng, cast(By, self.by))
        misleading = misleading_squares(readings, grid, self.irrelevant)
        relevant = (predicted.squares > self.irrelevant) & ~misleading
        kept = {i: squares_where(row) for i, row in enumerate(relevant)}
        kept |= {i: reading.kept_squares(grid) for i, reading in focused(readings).items()}
        sentence = (
            f"The loss is of all training images: on average {relevant.sum(axis=1).mean():.1f} of "
            f"{grid.squares} squares of an image are relevant; {predicted}."
        )
        share = relevant.mean(axis=0).round(4).tolist()  # of images, by square
        evidence = {"relevance": evidence_of(predicted), "relevant": share}
        return Selection(grid, kept, {"sentence": sentence, **evidence})


@dataclass(frozen=True)
class CamLoss(AttentionLoss):
    """The share of the heat-map's energy that lies outside the selected squares, in [0, 1].

    Args:
        strength, images, by, irrelevant: see `AttentionLoss`.
    Raises: SettingsError: an option is out of range.
    Source: Selvaraju et al. 2017 (Grad-CAM of the true class); the share of energy as Wang et al.
        2020 (Score-CAM), section 4.3, measure it.
    """

    needs_features: ClassVar[bool] = True

    def loss(self, outputs: Tensor, features: Features | None, batch: Batch) -> Tensor | None:
        """The loss of a batch; None where no image is corrected."""
        if batch.keep is None:
            return None
        cams, outside = _cams_and_outside(outputs, features, batch, batch.keep)
        share = (cams * outside).sum(dim=(1, 2)) / cams.sum(dim=(1, 2)).clamp(min=TINY)
        return self.strength * _mean_of_corrected(share, batch)


@dataclass(frozen=True)
class ResLoss(AttentionLoss):
    """How far the heat-map exceeds a tolerance outside the selected squares, in [0, 1].

    Readers do not select everything that matters, so faint attention outside is forgiven. The
    heat-map is divided by its maximum first, and the excess is averaged over what lies outside.

    Args:
        strength, images, by, irrelevant: see `AttentionLoss`.
        tolerance: share of the maximum that is forgiven, 0 to 1.
    Raises: SettingsError: an option is out of range.
    Source: Gao et al. 2022 (RES), the slack of their robust attention loss, for what lies outside.
    """

    needs_features: ClassVar[bool] = True

    tolerance: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("tolerance", self.tolerance, 0, 1)

    def loss(self, outputs: Tensor, features: Features | None, batch: Batch) -> Tensor | None:
        """The loss of a batch; None where no image is corrected."""
        if batch.keep is None:
            return None
        cams, outside = _cams_and_outside(outputs, features, batch, batch.keep)
        scaled = cams / cams.amax(dim=(1, 2), keepdim=True).clamp(min=TINY)
        excess = ((scaled - self.tolerance).relu() * outside).sum(dim=(1, 2))
        return self.strength * _mean_of_corrected(
            excess / outside.sum(dim=(1, 2)).clamp(min=TINY), batch
        )


@dataclass(frozen=True)
class GradientLoss(AttentionLoss):
    """Squared gradients of the log-probabilities by the pixels outside the selected squares.

    Summed over pixels, with gradients per standard deviation of the batch's pixels, so that the
    strength means the same for raw and for normalised images. In a loop of your own, call
    `images.requires_grad_()` before the model.

    Args:
        strength, images, by, irrelevant: see `AttentionLoss`.
    Raises: SettingsError: an option is out of range.
    Source: Ross et al. 2017 ("Right for the Right Reasons"), eq. 1, second term.
    """

    needs_gradients: ClassVar[bool] = True

    def loss(self, outputs: Tensor, features: Features | None, batch: Batch) -> Tensor | None:
        """The loss of a batch; None where no image is corrected.

        Raises: SettingsError: the images do not require gradients.
        """
        if batch.keep is None:
            return None
        if not batch.images.requires_grad:
            raise SettingsError(
                "the batch's images do not require gradients: call images.requires_grad_() before "
                "the model, and give the loss those images"
            )
        if outputs.shape[1] == 1:  # one logit for two classes
            outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        total = outputs.float().log_softmax(dim=1).sum()
        (gradients,) = torch.autograd.grad(total, batch.images, create_graph=True)
        scaled = gradients.float() * batch.images.detach().float().std()
        outside = ~batch.keep[:, None]
        return self.strength * _mean_of_corrected(
            (scaled.square() * outside).sum(dim=(1, 2, 3)), batch
        )


def _cams_and_outside(
    outputs: Tensor, features: Features | None, batch: Batch, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Heat-maps of the labels, and the share of each of their pixels outside the squares.

    Both are (B, rows, cols).
    """
    if features is None:
        raise SettingsError(
            "the loss needs a layer's features: run the model within `features_of(model, layer)`"
        )
    cams = features.cams(outputs, batch.labels)
    rows, cols = cams.shape[1:]
    outside = functional.adaptive_avg_pool2d((~keep)[:, None].float(), (rows, cols))
    return cams, outside[:, 0]


def _mean_of_corrected(losses: Tensor, batch: Batch) -> Tensor:
    """The mean of the corrected images' losses (B,); 0 where augmentation left none."""
    corrected = batch.corrected()
    return (losses * corrected).sum() / corrected.sum().clamp(min=1)
