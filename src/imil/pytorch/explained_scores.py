"""What every heat-map method needs: checked classes, their scores, gradients, and map sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from imil.errors import SettingsError, ShapeError


def checked_classes(
    inputs: torch.Tensor, classes: torch.Tensor | NDArray[np.integer[Any]]
) -> torch.Tensor:
    """The classes to explain, int64 (B, P), of images (B, C, H, W) or volumes (B, C, D, H, W).

    Raises: ShapeError: the shapes do not fit, or classes are not whole numbers.
    """
    if inputs.ndim not in (4, 5):
        raise ShapeError(
            f"images of shape {tuple(inputs.shape)} cannot be explained: "
            "give a batch (images, channels, height, width), or with slices before the height"
        )
    chosen = torch.as_tensor(classes)
    if chosen.ndim != 2 or len(chosen) != len(inputs) or not chosen.shape[1]:
        raise ShapeError(
            f"classes of shape {tuple(chosen.shape)} do not fit {len(inputs)} images: "
            "give (images, classes per image)"
        )
    if chosen.is_floating_point():
        raise ShapeError(f"classes are {chosen.dtype}: give whole numbers, 0 for the first class")
    return chosen.long()


def scores_of(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The logit of each class to explain, (B, P).

    Raises: ShapeError: the model does not know a class.
    """
    if logits.shape[1] == 1:  # it speaks for class 1, and as much against class 0
        logits = torch.cat([-logits, logits], dim=1)
    outside = classes[(classes < 0) | (classes >= logits.shape[1])]
    if len(outside):
        raise ShapeError(
            f"class {int(outside[0])} cannot be explained: "
            f"the model knows classes 0 to {logits.shape[1] - 1}"
        )
    # a copy: a tensor made in inference mode could not be used
    return logits.gather(1, classes.to(logits.device, copy=True))


def gradients_of(
    scores: torch.Tensor, tensor: torch.Tensor, *, create_graph: bool = False
) -> list[torch.Tensor] | None:
    """The gradient of each column of scores (B, P) by a tensor of all images.

    Returns: P tensors; None where a score does not depend on the tensor.
    """
    if not scores.requires_grad:
        return None
    gradients: list[torch.Tensor] = []
    for column in scores.unbind(1):
        # an image's score depends on that image alone, so that the sum keeps them apart
        (gradient,) = torch.autograd.grad(
            column.sum(), tensor, retain_graph=True, create_graph=create_graph, allow_unused=True
        )
        if gradient is None:
            return None
        gradients.append(gradient)
    return gradients


def check_maps(maps: torch.Tensor) -> None:
    """Check maps (B, rows, cols) before a ReLU, which would hide minus infinity.

    Raises: ShapeError: a value is not a finite number.
    """
    wrong = ~torch.isfinite(maps).flatten(1).all(dim=1)
    if wrong.any():
        raise ShapeError(
            f"the heat-map of image {int(wrong.nonzero()[0])} of the batch is not a number: "
            "the image or the weights hold NaN or infinity; "
            "if training has diverged, lower the learning rate"
        )


def enlarged(maps: torch.Tensor, size: Sequence[int]) -> NDArray[np.float32]:
    """The maps (B, P, rows, cols) at the image's size, each divided by its maximum.

    Of volumes, (B, P, slabs, rows, cols).
    """
    mode = "trilinear" if maps.ndim == 5 else "bilinear"
    large = functional.interpolate(maps, size=tuple(size), mode=mode, align_corners=False)
    highest = large.amax(dim=tuple(range(2, large.ndim)), keepdim=True)
    scaled = torch.where(highest > 0, large / highest, torch.zeros_like(large))
    result: NDArray[np.float32] = scaled.cpu().numpy()
    return result


def unrelated(layer: str) -> SettingsError:
    """The error of scores that do not depend on a layer."""
    return SettingsError(
        f"the class scores do not depend on layer '{layer}', or the model detaches what "
        "follows it: name a layer through which they are computed"
    )
