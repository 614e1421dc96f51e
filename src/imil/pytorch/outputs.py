"""Whether a model returns logits or probabilities, and probabilities turned into logits."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

import torch
from torch import nn

from imil.errors import SettingsError
from imil.pytorch.eval_context import eval_context, recording
from imil.pytorch.layers import unwrapped
from imil.pytorch.logits import Outputs, logits_of, sums_to_one

OutputsOrAuto = Literal["auto", "logits", "probabilities"]
# operations of the graph that pass values on as they are
PASSING = re.compile(
    r"Clone|View|Squeeze|Unsqueeze|Select|Slice|ToCopy|Alias|Permute|Transpose|Contiguous"
)
LINEAR = re.compile(r"^(Addmm|Mm|Linear|Convolution|MkldnnLinear)")  # no bound: these are logits
BOUNDED = re.compile(r"^(Sigmoid|Softmax)")


def checked_outputs(outputs: OutputsOrAuto) -> OutputsOrAuto:
    """Raises: SettingsError: there is no such kind of output."""
    if outputs not in get_args(OutputsOrAuto):
        known = ", ".join(get_args(OutputsOrAuto))
        raise SettingsError(f"outputs is '{outputs}': give one of {known}")
    return outputs


def kind_by_graph(module: nn.Module, inputs: torch.Tensor) -> Outputs | None:
    """What the operation that makes the output says it is; None where it says nothing.

    A linear layer or a convolution gives logits, a sigmoid or softmax probabilities. Anything else,
    such as a sum of several outputs, may be either.

    Args:
        module: returns class scores for inputs (B, C, H, W).
        inputs: at least one image, on the module's device.
    """
    module = unwrapped(module)
    with eval_context(module), recording(inputs.device):
        scores = logits_of(module(inputs.detach().clone().requires_grad_()), len(inputs))
    node: Any = scores.grad_fn
    while node is not None and PASSING.search(node.name()):
        node = node.next_functions[0][0]
    if node is None:  # made without a graph
        return None
    if LINEAR.match(node.name()):
        return "logits"
    return "probabilities" if BOUNDED.match(node.name()) else None


def look_like_probabilities(scores: torch.Tensor) -> bool:
    """Whether all these outputs (N, K) could be probabilities: of class 1 where K is 1."""
    return bool(len(scores)) and bool(sums_to_one(scores).all())


def question(module: nn.Module) -> SettingsError:
    """The error that asks which of the two the outputs are."""
    return SettingsError(
        f"the outputs of {type(unwrapped(module)).__name__} look like probabilities, as after a "
        'sigmoid or softmax, and logits were expected: give outputs="probabilities" to take them '
        'as such, or outputs="logits" if they are logits'
    )
