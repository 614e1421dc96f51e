"""The linear layer that gives a model's logits, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from imil.errors import SettingsError
from imil.pytorch.eval_context import eval_context, full_precision, without_compilation
from imil.pytorch.layers import unwrapped
from imil.pytorch.logits import logits_of


def find_last_layer(module: nn.Module, inputs: torch.Tensor) -> nn.Linear:
    """The linear layer whose output are the logits.

    Args:
        module: returns logits (B, K) for inputs (B, C, H, W).
        inputs: at least one image, on the module's device.
    Raises: SettingsError: there is none: the logits come from a convolution, or are changed after
        the last linear layer.
    """
    module = unwrapped(module)
    calls: list[tuple[nn.Linear, torch.Tensor]] = []

    def note(part: nn.Module, args: Any, output: torch.Tensor) -> None:
        if isinstance(part, nn.Linear):
            calls.append((part, output))

    with ExitStack() as hooks, quiet(module, inputs):
        for part in module.modules():
            if isinstance(part, nn.Linear):
                hooks.callback(part.register_forward_hook(note).remove)
        logits = logits_of(module(inputs), len(inputs))
    for part, output in reversed(calls):
        flat = output[:, None] if output.ndim == 1 else output
        if flat.shape == logits.shape and torch.equal(flat, logits):
            return part
    raise SettingsError(
        "the model has no linear last layer, whose output are the logits: choose a model that has "
        "one, or a treatment that leaves the trained model as it is"
    )


def inputs_of(module: nn.Module, layer: nn.Linear, images: torch.Tensor) -> torch.Tensor:
    """What the layer is given for these images, float32 (B, D), on the CPU.

    Args:
        module: is called with the images, in evaluation mode and full precision.
        layer: from `find_last_layer`.
        images: (B, C, H, W), on the module's device.
    """
    given: list[torch.Tensor] = []

    def note(part: nn.Module, args: Any) -> None:
        given[:] = [args[0].detach()]

    hook = layer.register_forward_pre_hook(note)
    try:
        with quiet(module, images):
            unwrapped(module)(images)
    finally:
        hook.remove()
    return given[0].float().cpu()


@contextmanager
def quiet(module: nn.Module, images: torch.Tensor) -> Iterator[None]:
    """A block in which a pass runs in evaluation mode, uncompiled, and records no gradients."""
    with (
        eval_context(module),
        torch.no_grad(),
        full_precision(images.device),
        without_compilation(),
    ):
        yield
