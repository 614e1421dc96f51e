"""The logits of a classifier, whatever kind of output it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from imil.errors import ShapeError

Outputs = Literal["logits", "probabilities"]
SUM_TOLERANCE = 1e-3  # softmax in bfloat16 is that far from 1


def logits_of(output: object, batch: int, outputs: Outputs = "logits") -> torch.Tensor:
    """The class scores before softmax, (B, K), or (B, 1) where one logit stands for two classes.

    Args:
        output: a tensor (B, K), (B, 1) or (B,); a dict or an object with such `logits`; or a
            tuple whose first element is one of these.
        batch: number of images, B.
        outputs: what the model returns. Of probabilities, logits are made whose softmax they are:
            their logarithms, or the log-odds of one probability, of class 1.
    Raises: ShapeError: anything else, or they are no probabilities where `outputs` says so.
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
    return logits if outputs == "logits" else _from_probabilities(logits)


def sums_to_one(scores: torch.Tensor) -> torch.Tensor:
    """Which rows (N, K) could be probabilities, bool (N,); where K is 1, of class 1."""
    inside = ((scores >= 0) & (scores <= 1 + SUM_TOLERANCE)).all(dim=1)
    if scores.shape[1] == 1:
        return inside
    return inside & ((scores.float().sum(dim=1) - 1).abs() <= SUM_TOLERANCE)


def _from_probabilities(probs: torch.Tensor) -> torch.Tensor:
    """Logits of probabilities; one that is rounded to 0 or 1 is taken as the nearest beside it."""
    wrong = (~sums_to_one(probs.detach())).nonzero()
    if len(wrong):
        row = [round(value, 4) for value in probs[int(wrong[0])].tolist()[:5]]
        raise ShapeError(
            f"the model returns {row} for an image, which are no probabilities that sum to 1: "
            'return such, or give outputs="logits" if they are logits'
        )
    probs = probs.float() if probs.element_size() < 4 else probs
    limits = torch.finfo(probs.dtype)
    log = probs.clamp(min=limits.tiny).log()
    return log if log.shape[1] > 1 else log - (-probs.clamp(max=1 - limits.eps / 2)).log1p()


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Probabilities (B, K) of logits, float64 on the CPU; two columns of one."""
    logits = logits.cpu().double()  # in this order: not every device has float64
    return two_columns(logits).softmax(dim=1)


def two_columns(logits: torch.Tensor) -> torch.Tensor:
    """The logits, with a column of zeros before a single one, which stands for two classes."""
    if logits.shape[1] == 1:
        return torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits
