"""Which layer of a model a heat-map is drawn from: found automatically, or named by the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from imil.errors import SettingsError
from imil.pytorch.eval_context import eval_context, recording
from imil.pytorch.layer_layout import Layout, as_map, layout_of
from imil.pytorch.logits import logits_of

LOOKED_AT = 2  # images: of one alone, what belongs to no image could not be told apart
# a map is taken before it is pooled, also where the enclosing block ends in the pool
POOLS = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d),
    *(nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.LPPool3d),
)
# these norms have the channels of a sequence before its positions
CHANNELS_FIRST = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
# a part that holds one of these is more than a norm, such as a linear layer with its norm
MULTIPLYING = (nn.Linear, nn.modules.conv._ConvNd)
# timm's models whose earlier layers look like maps and are none: tokens of mask units, and states
UNPLACED = ("Hiera", "EfficientViM", "EfficientViMDistilled")


@dataclass(frozen=True)
class ExplainedLayer:
    """The layer to explain, whether training will not change which one it is, and the logits.

    Args:
        logits: (2, K), or fewer images, from the pass in which the layer was found.
    """

    name: str
    lasting: bool
    logits: torch.Tensor


def find_layer(module: nn.Module, inputs: torch.Tensor) -> str:
    """The name of the last layer whose output is a map of the image that the scores depend on.

    Layers are tried from the last that runs to the first, after one forward pass. Tokens count
    only as a normalisation layer leaves them, or as the last block does where none has one. Behind
    the last attention of a model that reads a class token, patches no longer reach the scores and
    their gradient is zero: the search goes back to the norm before it.

    Args:
        module: returns logits (B, K) for inputs (B, C, H, W), or (B, C, D, H, W).
        inputs: such, at least one image; the first two are used.
    Returns: a name as in `named_modules()` of the module without its wrappers.
    Raises: SettingsError: no layer gives a map.
    """
    return look_for_layer(module, inputs).name


def look_for_layer(module: nn.Module, inputs: torch.Tensor) -> ExplainedLayer:
    """What `find_layer` returns, with the logits of its pass."""
    module = unwrapped(module)
    reached: list[str] = []
    with eval_context(module), recording(inputs.device):
        calls, logits = _trace(module, inputs[:LOOKED_AT])
        # unequal weights: where the module ends in a softmax, the plain sum depends on nothing
        weights = torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=logits.dtype)
        score = (logits * weights).sum()
        candidates = list(_candidates(module, calls, inputs[:LOOKED_AT]))
        for (name, _, layout), gradient in zip(
            candidates, _gradients(score, [output for _, output, _ in candidates]), strict=True
        ):
            if gradient is not None and (on_map := as_map(gradient, layout)) is not None:
                if on_map.any():
                    return ExplainedLayer(name, True, logits.detach())
                reached.append(name)
    if reached:  # every gradient is zero, as under a head of zeros: so will be every map
        return ExplainedLayer(reached[0], False, logits.detach())
    raise SettingsError(
        f"no layer of {type(module).__name__} gives a map of the image that the class scores "
        "depend on: name a layer, as model.named_modules() names it"
    )


def find_finer_layer(
    module: nn.Module, inputs: torch.Tensor, layer: str, rows: int, cols: int
) -> str:
    """The last layer, up to `layer`, whose map of the image has that many rows and columns.

    Args:
        module, inputs: as for `find_layer`.
        layer: a name as in `named_modules()`.
        rows, cols: at least so many.
    Returns: `layer` itself where it has so many, or where no earlier map has, or is in place.
    """
    layer, module = checked_layer(module, layer), unwrapped(module)
    if any(type(part).__name__ in UNPLACED for part in module.modules()):
        return layer
    with eval_context(module), recording(inputs.device):
        calls, _ = _trace(module, inputs[:LOOKED_AT])
    until = list(calls).index(layer) + 1 if layer in calls else len(calls)
    calls = dict(list(calls.items())[:until])
    layout = layout_of(module, layer, *inputs.shape[2:])
    named = [(layer, calls[layer].output, layout)] if layer in calls else []
    for name, output, layout in (*named, *_candidates(module, calls, inputs[:LOOKED_AT])):
        on_map = as_map(output, layout)
        if on_map is not None and on_map.shape[2] >= rows and on_map.shape[3] >= cols:
            return name
    return layer


def checked_layer(module: nn.Module, layer: str) -> str:
    """The layer's name in the module without its wrappers.

    Raises: SettingsError: the module has no such layer.
    """
    inner = dict(unwrapped(module).named_modules(remove_duplicate=False))
    wanted = (dict(module.named_modules(remove_duplicate=False)) | inner).get(layer)
    for name, part in inner.items():
        if name and part is wanted:
            return name
    near = difflib.get_close_matches(layer, filter(None, inner), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else "model.named_modules() lists them"
    raise SettingsError(f"unknown layer '{layer}' of {type(unwrapped(module)).__name__}: {hint}")


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside DataParallel, DistributedDataParallel or torch.compile."""
    while True:
        inner: object = getattr(module, "_orig_mod", None)  # torch.compile
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def first_tensor(values: object) -> torch.Tensor | None:
    """The tensor itself, or the first of a tuple; None if it is not a float tensor."""
    first = values[0] if isinstance(values, tuple) and values else values
    return first if isinstance(first, torch.Tensor) and first.is_floating_point() else None


def with_first(values: object, tensor: torch.Tensor) -> object:
    """The same output with the tensor in the place where `first_tensor` found one."""
    return (tensor, *values[1:]) if isinstance(values, tuple) else tensor


@dataclass(frozen=True)
class _Call:
    """The last call of a part of the module.

    Args:
        output: what came out.
        around: the shapes that went into the calls in which this one ran, innermost first. A part
            that is used in several blocks has one name, which says nothing of where it runs.
    """

    part: nn.Module
    output: torch.Tensor
    around: tuple[tuple[int, ...], ...]


def _trace(module: nn.Module, inputs: torch.Tensor) -> tuple[dict[str, _Call], torch.Tensor]:
    """The last call of each part in order of completion, and the logits that depend on them."""
    calls: dict[str, _Call] = {}
    running: list[tuple[int, ...]] = []  # the shapes that went into the calls that have not ended

    def before(part: nn.Module, args: Any, kwargs: Any) -> None:
        torch.set_grad_enabled(True)  # a frozen part may run under no_grad
        took = first_tensor((*args, *kwargs.values()))
        running.append(() if took is None else tuple(took.shape))

    def after(name: str, part: nn.Module, args: Any, kwargs: Any, output: object) -> object:
        calls.pop(name, None)
        running.pop()
        if (tensor := first_tensor(output)) is None:
            return None
        exposed = tensor if tensor.requires_grad else tensor.detach().requires_grad_()
        calls[name] = _Call(part, exposed, tuple(reversed(running)))
        return None if exposed is tensor else with_first(output, exposed.clone())

    with ExitStack() as hooks:
        for name, part in module.named_modules():
            hooks.callback(part.register_forward_pre_hook(before, with_kwargs=True).remove)
            watch = partial(after, name)
            hooks.callback(part.register_forward_hook(watch, with_kwargs=True).remove)
        logits = logits_of(module(inputs.detach().clone()), len(inputs))
    return calls, logits


def _candidates(
    module: nn.Module, calls: dict[str, _Call], inputs: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor, Layout]]:
    """Name, output and layout of the calls that gave a map of the image, last call first."""
    pooled = {id(call.output) for call in calls.values() if isinstance(call.part, POOLS)}
    for name, call in reversed(calls.items()):
        if not name or id(call.output) in pooled or call.output.ndim not in (3, 4, 5):
            continue
        if len(call.output) != len(inputs):
            continue  # windows or pieces of the images
        layout = layout_of(module, name, *inputs.shape[2:])
        if as_map(call.output, layout) is None:
            continue
        if _shows_image(name, call, layout) or _are_last_tokens(name, calls, len(inputs)):
            yield name, call.output, layout


def _shows_image(name: str, call: _Call, layout: Layout) -> bool:
    """Whether the output lies over the image, as far as one can tell from outside."""
    token_blocks = [took for took in call.around if len(took) == 3 and took[0] == len(call.output)]
    if call.output.ndim == 5:  # of volumes, whose axes are often shrunk unequally
        return not token_blocks
    if call.output.ndim == 4:
        # what attention makes of tokens, such as (B, heads, N, N), looks like a map and is none
        return not token_blocks and layout.resembles(call.output.shape)
    # a norm of another width than its block is one inside an MLP
    is_inside = bool(token_blocks) and token_blocks[0][2] != call.output.shape[-1]
    return _is_norm(name, call.part) and not is_inside


def _is_norm(name: str, part: nn.Module) -> bool:
    """Whether the part normalises tokens; by its class or its name, and it multiplies nothing."""
    kind, own_name = type(part), name.rpartition(".")[2]
    if "norm" not in kind.__name__.lower() and "norm" not in own_name.lower():
        return False
    return not issubclass(kind, CHANNELS_FIRST) and not any(
        isinstance(inner, MULTIPLYING) for inner in part.modules()
    )


def _are_last_tokens(name: str, calls: dict[str, _Call], images: int) -> bool:
    """Whether blocks of which none has a norm leave these tokens, as those of LeViT do."""
    call = calls[name]
    if not isinstance(call.part, nn.Sequential) or call.output.ndim != 3:
        return False
    if any(len(took) == 3 and took[0] == images for took in call.around):
        return False
    inside = ((n, c) for n, c in calls.items() if n.startswith(f"{name}."))
    return not any(c.output.ndim == 3 and _is_norm(n, c.part) for n, c in inside)


def _gradients(
    score: torch.Tensor, outputs: Sequence[torch.Tensor]
) -> Iterator[torch.Tensor | None]:
    """The score's gradient with respect to each output.

    One backward pass for the first of them, one for the next two, for the next four, and so on:
    it goes no deeper into the module than the gradients that are taken need, as a rule one.
    """
    start, more = 0, 1
    while start < len(outputs):
        some = outputs[start : start + more]
        if score.requires_grad:
            yield from torch.autograd.grad(score, some, retain_graph=True, allow_unused=True)
        else:
            yield from [None] * len(some)
        start, more = start + more, 2 * more
