"""Losses that draw a model's attention into the squares that readers selected.

Images stay as they are. Each loss is the mean over the corrected images of a batch and is added to
the classification loss, times `strength`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from imil.errors import SettingsError
from imil.treatments.batch import Batch
from imil.treatments.option_checks import check_range
from imil.treatments.treatment import Features, Treatment

STRONGEST = 1e6
TINY = 1e-12  # against division by 0 where a heat-map is 0 everywhere


@dataclass(frozen=True)
class CamLoss(Treatment):
    """The share of the heat-map's energy that lies outside the selected squares, in [0, 1].

    Args:
        strength: factor of the loss, 0 or more.
    Raises: SettingsError: the strength is out of range.
    Source: Selvaraju et al. 2017 (Grad-CAM of the true class); the share of energy as Wang et al.
        2020 (Score-CAM), section 4.3, measure it.
    """

    needs_features: ClassVar[bool] = True
    allows_mix: ClassVar[bool] = False

    strength: float = 1.0

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0, STRONGEST)

    def loss(self, outputs: Tensor, features: Features | None, batch: Batch) -> Tensor | None:
        """The loss of a batch; None where no image is corrected."""
        if batch.keep is None:
            return None
        cams, outside = _cams_and_outside(outputs, features, batch, batch.keep)
        share = (cams * outside).sum(dim=(1, 2)) / cams.sum(dim=(1, 2)).clamp(min=TINY)
        return self.strength * _mean_of_corrected(share, batch)


@dataclass(frozen=True)
class ResLoss(Treatment):
    """How far the heat-map exceeds a tolerance outside the selected squares, in [0, 1].

    Readers do not select everything that matters, so faint attention outside is forgiven. The
    heat-map is divided by its maximum first, and the excess is averaged over what lies outside.

    Args:
        strength: factor of the loss, 0 or more.
        tolerance: share of the maximum that is forgiven, 0 to 1.
    Raises: SettingsError: an option is out of range.
    Source: Gao et al. 2022 (RES), the slack of their robust attention loss, for what lies outside.
    """

    needs_features: ClassVar[bool] = True
    allows_mix: ClassVar[bool] = False

    strength: float = 1.0
    tolerance: float = 0.2

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0, STRONGEST)
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
class GradientLoss(Treatment):
    """Squared gradients of the log-probabilities by the pixels outside the selected squares.

    Summed over pixels, with gradients per standard deviation of the batch's pixels, so that the
    strength means the same for raw and for normalised images. In a loop of your own, call
    `images.requires_grad_()` before the model.

    Args:
        strength: factor of the loss, 0 or more.
    Raises: SettingsError: the strength is out of range.
    Source: Ross et al. 2017 ("Right for the Right Reasons"), eq. 1, second term.
    """

    needs_gradients: ClassVar[bool] = True
    allows_mix: ClassVar[bool] = False

    strength: float = 1.0

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0, STRONGEST)

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
