"""The network that is trained, of timm or another library, and its initial weights."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from imil.errors import DataError, SettingsError
from imil.pytorch.eval_context import eval_context
from imil.settings import is_weights_file
from imil.training.imagenet_weights import not_fetched, pretrained_options
from imil.training.other_models import are_of_folder, build_other, is_of_other_library

# timm starts the last normalisation of each residual block at zero. At the paper's learning rate,
# without momentum, it stays there (below 0.01 after 100 epochs of ResNet-18 on the Shenzhen
# films); torchvision starts it at one.
CONVENTIONS: dict[str, Any] = {"zero_init_last": False}
PREFIXES = ("module.", "net.", "model.")  # of DataParallel, of our checkpoints, of others'


def build(
    name: str, *, classes: int, image_size: int, weights: str, image_depth: int = 1
) -> nn.Module:
    """A model with `classes` logits, initialised from torch's global random state.

    Args:
        name: as timm knows it, or LIBRARY:NAME as `other_models` does.
        classes: K, at least 2.
        image_size: height and width of its input, in pixels.
        image_depth: above 1, slices of its input, which then are volumes of one channel.
        weights: `none`, `imagenet` or `imagenet@REVISION` (need a network), or a file of weights.
    Raises: SettingsError, DataError: unknown model, no network, or a file that does not fit.
    """
    if is_of_other_library(name):
        if weights != "none" and not is_weights_file(weights):
            raise SettingsError(
                f"--weights {weights} are timm's, and the model is {name}: give none or a file"
            )
        net = build_other(name, classes, weights, image_depth)
    else:
        net = _of_timm(name, classes, image_size, weights)
    if is_weights_file(weights) and not are_of_folder(name, weights):
        load_weights(net, Path(weights))
    _check_image_size(net, name, image_size, image_depth)
    return net


def _of_timm(name: str, classes: int, image_size: int, weights: str) -> nn.Module:
    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        hint = f"did you mean {' or '.join(near)}" if near else "see timm.list_models()"
        raise SettingsError(f"--model '{name}' is not known to timm: {hint}")
    return _create(name, classes, image_size, **pretrained_options(name, weights))


def _check_image_size(net: nn.Module, name: str, image_size: int, depth: int) -> None:
    """Many models can be built for a size that they cannot take: checked now, not in training."""
    try:
        with eval_context(net), torch.no_grad():
            size = (3, image_size, image_size) if depth == 1 else (1, depth, image_size, image_size)
            net(torch.zeros(1, *size))
    except Exception as error:  # whatever a layer raises
        made_for = getattr(net, "pretrained_cfg", {}).get("input_size", (3, 224, 224))[-1]
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        if depth > 1:
            raise SettingsError(
                f"{name} cannot take volumes of --image-depth {depth} and --image-size "
                f"{image_size} ({why}): give more slices or pixels, or a smaller network"
            ) from error
        raise SettingsError(
            f"{name} cannot take images of --image-size {image_size} ({why}): "
            f"it was made for {made_for}"
        ) from error


def _create(name: str, classes: int, image_size: int, **pretrained: Any) -> nn.Module:
    def create(**more: Any) -> nn.Module:
        net: nn.Module = timm.create_model(name, num_classes=classes, **pretrained, **more)
        return net

    try:
        for option in CONVENTIONS | {"img_size": image_size}, CONVENTIONS, {"img_size": image_size}:
            try:
                return create(**option)
            except TypeError:  # this model has no such option
                continue
        return create()
    except Exception as error:  # the hub raises its own kinds, and others' from below
        if pretrained:
            raise not_fetched(name, error) from error
        raise SettingsError(
            f"{name} cannot be built for --image-size {image_size}: {error}"
        ) from error


def load_weights(net: nn.Module, path: Path) -> None:
    """Load a file of weights (.safetensors, .pt, .pth, .ckpt) into the network.

    A head for another number of classes is left out: the new one stays as initialised.

    Raises: DataError: not such a file, or layers are missing or of another shape.
    """
    unused = getattr(net, "pretrained_cfg", {}).get("unused_weights", ())
    weights = {name: weight for name, weight in _read(path).items() if name not in unused}
    expected = net.state_dict()
    head = [name for name in expected if name.startswith(_heads(net))]
    if any(name in weights and weights[name].shape != expected[name].shape for name in head):
        weights |= {name: expected[name] for name in head}
    odd = [n for n in expected if n not in weights or weights[n].shape != expected[n].shape]
    odd += [n for n in weights if n not in expected]
    if odd:
        shown = ", ".join(odd[:5]) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
        raise DataError(
            f"the weights in {path} do not fit the model: layers {shown} are missing, unknown "
            "or of another shape; name the --model that they were saved from"
        )
    bad = [name for name, w in weights.items() if w.is_floating_point() and not w.isfinite().all()]
    if bad:
        raise DataError(
            f"the weights in {path} hold values that are not finite, '{bad[0]}' first: the "
            "training that they come from had diverged; give others"
        )
    net.load_state_dict(weights)


def _heads(net: nn.Module) -> tuple[str, ...]:
    config: dict[str, Any] = getattr(net, "pretrained_cfg", {})
    names = config.get("classifier", "fc")
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"--weights {path} is not a file: give none, imagenet or a file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        read = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(
            f"{path} holds no weights that can be read safely ({type(error).__name__}): "
            "give a .safetensors file or a state_dict saved with torch.save"
        ) from error
    for name in ("state_dict", "model", "model_state_dict"):
        if isinstance(read, dict) and isinstance(read.get(name), dict):
            read = read[name]
    if not isinstance(read, dict) or not all(isinstance(v, Tensor) for v in read.values()):
        raise DataError(f"{path} holds no state_dict: save one with torch.save(net.state_dict())")
    for prefix in PREFIXES:
        if read and all(name.startswith(prefix) for name in read):
            read = {name.removeprefix(prefix): value for name, value in read.items()}
    return read
