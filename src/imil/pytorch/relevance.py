"""Where a vision transformer's evidence lies: relevance propagated to the tokens that enter it.

Gradient times input, where the weights of attention and the scale of each layer normalisation count
as constants: what a token contributes then adds up from block to block, whatever tokens exchange.
One forward pass and one backward pass for each class; the outputs of the pass are not changed.

Source: Ali et al. 2022, XAI for Transformers: Better Explanations through Conservative Propagation,
eq. 12 and 14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from imil.errors import SettingsError
from imil.pytorch.eval_context import eval_context, recording, weights_at_rest
from imil.pytorch.explained_scores import (
    check_maps,
    checked_classes,
    enlarged,
    gradients_of,
    scores_of,
)
from imil.pytorch.layer_layout import MOST_PREFIX, Layout, as_map, layout_of, token_grid
from imil.pytorch.layers import LOOKED_AT, find_layer, unwrapped
from imil.pytorch.logits import Outputs, logits_of
from imil.pytorch.out_of_memory import ran_out

MOST_TOKENS = 2048  # of a pass: 1.3 GiB of graph for ViT-B, 0.65 MB a token


def relevance_maps(
    module: nn.Module,
    inputs: torch.Tensor,
    classes: torch.Tensor | NDArray[np.integer[Any]],
) -> NDArray[np.float32]:
    """Heat-maps (B, P, H, W) in [0, 1] of what speaks for each class, as of `grad_cam`.

    Args:
        module: a vision transformer that returns logits (B, K), see `has_relevance`.
        inputs: (B, C, H, W), as the module takes them, on its device; at least one.
        classes: int (B, P), in [0, K): the classes to explain in each image.
    Raises:
        ShapeError: shapes do not fit, a class is out of range, or a map is not a number.
        SettingsError: the module's attention cannot be read.
    """
    return logits_and_relevance(module, inputs, classes, layer=find_layer(module, inputs))[1]


def logits_and_relevance(
    module: nn.Module,
    inputs: torch.Tensor,
    classes: torch.Tensor | NDArray[np.integer[Any]],
    *,
    layer: str,
    outputs: Outputs = "logits",
) -> tuple[torch.Tensor, NDArray[np.float32]]:
    """The heat-maps of `relevance_maps`, and the logits (B, K) of the pass that they were made in.

    Images are explained a few at a time: the graph of a whole transformer is large.

    Args:
        module, inputs, classes: as for `relevance_maps`.
        layer: from `find_layer`; the modules around it say how tokens lie over the image.
        outputs: what the module returns, as for `imil.pytorch.gradcam.logits_and_maps`.
    """
    chosen = checked_classes(inputs, classes)
    module = unwrapped(module)
    layout = layout_of(module, layer, *inputs.shape[2:])
    logits: list[torch.Tensor] = []
    maps: list[torch.Tensor] = []
    start, size = 0, LOOKED_AT
    with eval_context(module), recording(inputs.device), weights_at_rest(module):
        while start < len(inputs):
            part = slice(start, start + size)
            output, rules = _forward(module, inputs[part], layout)
            tokens = rules.checked_tokens(type(module).__name__)
            found = logits_of(output, len(inputs[part]), outputs)
            maps.append(_maps(scores_of(found, chosen[part]), tokens, layout))
            logits.append(found.detach())
            start, size = start + size, max(1, MOST_TOKENS // tokens.shape[1])
    return torch.cat(logits), enlarged(torch.cat(maps), inputs.shape[2:])


def has_relevance(module: nn.Module, inputs: torch.Tensor, layer: str) -> bool:
    """Whether the module is a vision transformer whose relevance can be propagated to its tokens.

    All of its attention must be seen, between all tokens of the image: so Swin, whose windows
    exchange nothing, pyramids of tokens, and attention in compiled libraries are not.

    Args:
        module, inputs: as for `relevance_maps`; the first two images are used.
        layer: from `find_layer`.
    """
    module, images = unwrapped(module), inputs[:LOOKED_AT]
    layout = layout_of(module, layer, *inputs.shape[2:])
    with eval_context(module), recording(inputs.device), weights_at_rest(module):
        try:
            return _forward(module, images, layout)[1].is_transformer
        except RuntimeError as error:
            if ran_out(error):
                raise
            return False  # tokens that are changed in place, or made in inference mode


def _forward(
    module: nn.Module, images: torch.Tensor, layout: Layout
) -> tuple[object, ConservativeRules]:
    with ConservativeRules(len(images), layout) as rules:
        return module(images.detach().clone()), rules


def _maps(scores: torch.Tensor, tokens: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Positive relevance of each patch for each score, float32 (B, P, rows, cols)."""
    gradients = gradients_of(scores, tokens)
    if gradients is None:
        raise SettingsError(
            "the class scores do not depend on the tokens that enter the first block, or the "
            "model detaches them: give heat_map='grad-cam' and a layer behind that"
        )
    result = []
    for gradient in gradients:
        relevance = (gradient * tokens.detach()).float().sum(dim=2, keepdim=True)
        on_map = as_map(relevance, layout)
        assert on_map is not None  # the tokens were taken because they make a grid
        check_maps(on_map[:, 0])
        result.append(on_map[:, 0].relu())
    return torch.stack(result, dim=1)


class ConservativeRules(TorchFunctionMode):
    """A block in which gradients pass attention and layer normalisation as if they were linear.

    Fused attention stays fused: its queries and keys are detached, its values are not.

    Args:
        images: number of images in the batch.
        layout: how tokens lie over the image.
    """

    def __init__(self, images: int, layout: Layout) -> None:
        super().__init__()
        self._images, self._layout = images, layout
        self._tokens: torch.Tensor | None = None
        self._attended: list[tuple[int, int]] = []  # numbers of queries and keys
        self._all_seen = True  # whether each attention was between tokens of one image
        self._rules: dict[object, Callable[..., Any]] = {
            functional.scaled_dot_product_attention: self._attention,
            functional.multi_head_attention_forward: self._whole_attention,
            functional.softmax: self._softmax,
            torch.softmax: self._softmax,
            torch.Tensor.softmax: self._softmax,
            functional.layer_norm: self._norm,
            functional.rms_norm: self._norm,
        }

    @property
    def is_transformer(self) -> bool:
        """Whether tokens were normalised, and then attended to one another, all in one sequence."""
        squares = {queries for queries, keys in self._attended if queries == keys}
        if self._tokens is None or not self._all_seen or len(squares) != 1:
            return False
        (tokens,) = squares
        read = all(tokens <= keys <= tokens + MOST_PREFIX for _, keys in self._attended)
        return read and 0 <= tokens - self._tokens.shape[1] <= MOST_PREFIX

    def checked_tokens(self, model: str) -> torch.Tensor:
        """The tokens (B, N, D) that enter the first block, in the graph.

        Raises: SettingsError: the model is no transformer that can be read.
        """
        if self._tokens is None or not self.is_transformer:
            raise SettingsError(
                f"the attention of {model} cannot be read, or it is not between all patches of "
                "an image: give heat_map='grad-cam'"
            )
        return self._tokens

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        torch.set_grad_enabled(True)  # a frozen part may run under no_grad
        rule = self._rules.get(func)
        if rule is None:
            return func(*args, **(kwargs or {}))
        return rule(func, *args, **(kwargs or {}))

    def _attention(
        self, func: Callable[..., Any], query: Any, key: Any, value: Any, *args: Any, **more: Any
    ) -> Any:
        self._note(query.shape[0], query.shape[-2], key.shape[-2])
        return func(query.detach(), key.detach(), value, *args, **more)

    def _whole_attention(
        self, func: Callable[..., Any], query: Any, key: Any, value: Any, *args: Any, **more: Any
    ) -> Any:
        """The attention of `nn.MultiheadAttention`, whose tokens are (N, B, D)."""
        self._note(query.shape[1], query.shape[0], key.shape[0])
        return func(query.detach(), key.detach(), value, *args, **more)

    def _softmax(self, func: Callable[..., Any], *args: Any, **more: Any) -> Any:
        result = func(*args, **more)
        dim = more.get("dim", args[1] if len(args) > 1 else None)
        if result.ndim != 4 or dim not in (-1, 3):  # such as that of class scores
            return result
        self._note(*(result.shape[i] for i in (0, 2, 3)))
        return result.detach()

    def _note(self, images: int, queries: int, keys: int) -> None:
        self._all_seen &= images == self._images and self._tokens is not None
        self._attended.append((queries, keys))

    def _norm(
        self, func: Callable[..., Any], given: torch.Tensor, shape: Sequence[int], **more: Any
    ) -> torch.Tensor:
        self._take_tokens(given)
        result: torch.Tensor = func(given, shape, **more)
        if len(shape) != 1:
            return result
        is_rms = func is functional.rms_norm
        centred = given if is_rms else given - given.mean(dim=-1, keepdim=True)
        eps = torch.finfo(given.dtype).eps if more["eps"] is None else more["eps"]
        scale = torch.rsqrt(centred.detach().square().mean(dim=-1, keepdim=True) + eps)
        linear = centred * scale
        if more["weight"] is not None:
            linear = linear * more["weight"]
        # the same values bit for bit, with the gradient of the linear function
        return result.detach() + (linear - linear.detach())

    def _take_tokens(self, tokens: torch.Tensor) -> None:
        """Start the graph at the first tokens that lie over the image."""
        if self._tokens is not None or tokens.ndim != 3 or len(tokens) != self._images:
            return
        if self._layout.depth is not None:  # of a volume: which token is where is not known
            return
        is_learned = isinstance(tokens, nn.Parameter)  # whose flag is the training's
        if not is_learned and token_grid(tokens.shape[1], self._layout):
            # the same object goes on past the norm, so that its gradient has both ways
            self._tokens = tokens if tokens.requires_grad else tokens.requires_grad_()
