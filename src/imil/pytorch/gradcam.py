"""Where a model looks: Grad-CAM of several classes for a whole batch at once.

One forward pass; then, for each class to explain, the gradient of its score with respect to
one layer's output alone. No parameter's gradient is computed, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from imil.errors import SettingsError
from imil.pytorch.eval_context import eval_context, recording, weights_at_rest
from imil.pytorch.explained_scores import (
    check_maps,
    checked_classes,
    enlarged,
    gradients_of,
    scores_of,
    unrelated,
)
from imil.pytorch.layer_layout import Layout, as_map, layout_of
from imil.pytorch.layers import checked_layer, find_layer, first_tensor, unwrapped, with_first
from imil.pytorch.logits import Outputs, logits_of

__all__ = ["LayerFeatures", "features_of", "find_layer", "grad_cam", "logits_and_maps"]


def grad_cam(
    module: nn.Module,
    inputs: torch.Tensor,
    classes: torch.Tensor | NDArray[np.integer[Any]],
    *,
    layer: str | None = None,
) -> NDArray[np.float32]:
    """Heat-maps (B, P, H, W) in [0, 1], each divided by its own maximum; 0 where all is 0.

    Of volumes, (B, P, D, H, W).

    The module is run in evaluation mode, so that the images of a batch do not influence one
    another, and in full precision.

    Args:
        module: returns logits (B, K), before softmax; see `logits_of` for other outputs.
        inputs: (B, C, H, W) or (B, C, D, H, W), as the module takes them, on its device.
        classes: int (B, P), in [0, K): the classes to explain in each image.
        layer: a name as in `module.named_modules()`; found by `find_layer` if None.
    Raises:
        ShapeError: shapes do not fit, a class is out of range, or a map is not a number.
        SettingsError: the layer is unknown, does not run, or gives no map of the image.
    Source: Selvaraju et al. 2017, eq. 1 and 2; enlarged bilinearly, or trilinearly.
    """
    if not len(inputs):
        return np.zeros((*checked_classes(inputs, classes).shape, *inputs.shape[2:]), np.float32)
    return logits_and_maps(module, inputs, classes, layer=layer)[1]


def logits_and_maps(
    module: nn.Module,
    inputs: torch.Tensor,
    classes: torch.Tensor | NDArray[np.integer[Any]],
    *,
    layer: str | None = None,
    outputs: Outputs = "logits",
) -> tuple[torch.Tensor, NDArray[np.float32]]:
    """The heat-maps of `grad_cam`, and the logits (B, K) of the pass that they were made in.

    Args:
        module, inputs, classes, layer: as for `grad_cam`; at least one image.
        outputs: what the module returns. Of probabilities, their logarithm is differentiated, or
            the log-odds of a single one.
    """
    chosen = checked_classes(inputs, classes)
    layer = find_layer(module, inputs) if layer is None else checked_layer(module, layer)
    module = unwrapped(module)
    with eval_context(module), recording(inputs.device), weights_at_rest(module):
        activation, logits = _forward(module, inputs, layer, outputs)
        layout = layout_of(module, layer, *inputs.shape[2:])
        scores = scores_of(logits, chosen)
        gradients = _gradients(scores, activation, layer)
    cams = [_cam(activation.detach(), gradient, layout, layer) for gradient in gradients]
    return logits.detach(), enlarged(torch.stack(cams, 1), inputs.shape[2:])


def _forward(
    module: nn.Module, inputs: torch.Tensor, layer: str, outputs: Outputs
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's output in its last call, and the logits with the graph that leads to it."""
    kept: list[torch.Tensor] = []

    def keep(part: nn.Module, args: Any, output: object) -> object:
        if (tensor := first_tensor(output)) is None:
            raise SettingsError(
                f"layer '{layer}' gives a {type(output).__name__}, not a map: name a layer in it"
            )
        torch.set_grad_enabled(True)  # a frozen part may run under no_grad
        kept[:] = [tensor.detach().clone().requires_grad_()]
        return with_first(output, kept[0].clone())  # a ReLU may overwrite what it is given

    hook = module.get_submodule(layer).register_forward_hook(keep)
    try:
        output = module(inputs.detach().clone())
    finally:
        hook.remove()
    if not kept:
        raise SettingsError(
            f"layer '{layer}' does not run when {type(module).__name__} is given an image: "
            "name one that does"
        )
    return kept[0], logits_of(output, len(inputs), outputs)


def _gradients(
    scores: torch.Tensor, activation: torch.Tensor, layer: str, *, create_graph: bool = False
) -> list[torch.Tensor]:
    """The gradient of each column of scores with respect to the activation."""
    gradients = gradients_of(scores, activation, create_graph=create_graph)
    if gradients is None:
        raise unrelated(layer)
    return gradients


def _cam(
    activation: torch.Tensor, gradient: torch.Tensor, layout: Layout, layer: str
) -> torch.Tensor:
    """ReLU of the channels weighted by their mean gradient, (B, rows, cols), float32.

    Of volumes, (B, slabs, rows, cols).
    """
    maps, slopes = (_map_of(one, layout, layer) for one in (activation, gradient))
    weights = slopes.float().mean(dim=tuple(range(2, slopes.ndim)), keepdim=True)
    cam = (weights * maps.float()).sum(dim=1)
    check_maps(cam)
    return cam.relu()


def _map_of(tensor: torch.Tensor, layout: Layout, layer: str) -> torch.Tensor:
    result = as_map(tensor, layout)
    if result is None:
        raise SettingsError(
            f"layer '{layer}' gives {tuple(tensor.shape)}, which is not a map of the image: "
            "name a layer before the pooling"
        )
    return result


@dataclass(frozen=True)
class LayerFeatures:
    """A layer's output in a training step, and heat-maps that a loss can be made of.

    Args:
        activation: the output, in the graph of the step.
        layout: how it lies over the image.
        layer: its name.
    """

    activation: torch.Tensor
    layout: Layout
    layer: str

    @property
    def maps(self) -> torch.Tensor:
        """The output as a map of the image, (B, D, rows, cols)."""
        return _map_of(self.activation, self.layout, self.layer)

    def cams(self, outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Grad-CAM of one class per image, (B, rows, cols), float32, 0 or more, not scaled.

        The gradient is kept in the graph, so that a loss of the heat-maps reaches the weights.
        Where batch normalisation is in training mode, images of a batch influence one another.

        Args:
            outputs: the model's output in the same step.
            classes: int (B,), in [0, K).
        Source: Selvaraju et al. 2017, eq. 1 and 2.
        """
        scores = scores_of(logits_of(outputs, len(classes)), classes[:, None])
        (gradient,) = _gradients(scores, self.activation, self.layer, create_graph=True)
        return _cam(self.activation, gradient, self.layout, self.layer)


def twice_differentiable() -> AbstractContextManager[None]:
    """A block in which attention is computed so that its gradient has a gradient.

    The fused kernels of PyTorch have none, and a loss of heat-maps or of gradients needs it.
    """
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


@contextmanager
def features_of(module: nn.Module, layer: str) -> Iterator[list[LayerFeatures]]:
    """A block in which a forward pass of the module leaves its layer's features in the list.

    The pass itself stays as it is, bit for bit, but for attention (see `twice_differentiable`).
    Compiled modules run past it.

    Args:
        module: is called with images (B, C, H, W) in the block, once.
        layer: a name as in `module.named_modules()`.
    """
    layer = checked_layer(module, layer)
    module = unwrapped(module)
    result: list[LayerFeatures] = []
    size: list[tuple[int, ...]] = []

    def measure(part: nn.Module, args: Any) -> None:
        size[:] = [tuple(map(int, args[0].shape[2:]))]

    def keep(part: nn.Module, args: Any, output: object) -> object:
        if (tensor := first_tensor(output)) is None:
            raise SettingsError(
                f"layer '{layer}' gives a {type(output).__name__}, not a map: name a layer in it"
            )
        result[:] = [LayerFeatures(tensor, layout_of(module, layer, *size[0]), layer)]
        return with_first(output, tensor.clone())  # a ReLU may overwrite what it is given

    hooks = [
        module.register_forward_pre_hook(measure),
        module.get_submodule(layer).register_forward_hook(keep),
    ]
    try:
        with twice_differentiable():
            yield result
    finally:
        for hook in hooks:
            hook.remove()
