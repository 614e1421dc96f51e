"""The logits of a classifier, whatever kind of output it has."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from imil.errors import ShapeError


def logits_of(output: object, batch: int) -> torch.Tensor:
    """The class scores before softmax, (B, K), or (B, 1) where one logit stands for two classes.

    Args:
        output: a tensor (B, K), (B, 1) or (B,); a dict or an object with such `logits`; or a
            tuple whose first element is one of these.
        batch: number of images, B.
    Raises: ShapeError: anything else.
    """
    if isinstance(output, tuple | list) and output and not hasattr(output, "logits"):
        output = output[0]
    if isinstance(output, Mapping):
        output = output.get("logits", output)
    logits = getattr(output, "logits", output)
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        raise ShapeError(
            f"the model returns a {type(logits).__name__} without class scores: "
            "return a float tensor (batch, classes), or a tuple or dict with it as `logits`"
        )
    if logits.shape == (batch,):
        logits = logits[:, None]
    if logits.ndim != 2 or logits.shape[0] != batch or logits.shape[1] < 1:
        raise ShapeError(
            f"the model returns scores of shape {tuple(logits.shape)} for {batch} images: "
            "return one row of class scores per image, (batch, classes)"
        )
    return logits
