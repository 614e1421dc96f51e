"""Changing the last layer of a trained model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imil.errors import SettingsError

Floats = NDArray[np.float64]


def set_layer(layer: nn.Linear, weights: Floats, intercepts: Floats) -> None:
    """Give the layer these weights (D, K) and intercepts (K,), one column for each class.

    A layer with one output, which stands for two classes, is given what sets them apart.

    Raises: SettingsError: intercepts are needed, and the layer has none.
    """
    if layer.bias is None:
        raise SettingsError(
            "the model's last layer has no intercepts (bias), which would change: choose a model "
            "whose last layer has"
        )
    if layer.out_features == 1 and len(intercepts) == 2:
        weights, intercepts = np.diff(weights), np.diff(intercepts)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights.T.copy()))
        layer.bias.copy_(torch.from_numpy(intercepts))


def get_layer(layer: nn.Linear) -> tuple[Floats, Floats]:
    """The layer's weights (D, K) and intercepts (K,), as they are."""
    weights: Floats = layer.weight.detach().cpu().double().numpy().T
    if layer.bias is None:
        return weights, np.zeros(layer.out_features)
    return weights, layer.bias.detach().cpu().double().numpy()
