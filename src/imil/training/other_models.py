"""Models of other libraries than timm, named as LIBRARY:NAME.

Each is called with images (B, 3, h, w), or volumes (B, 1, d, h, w), and gives logits (B, K).
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from imil.errors import DataError, SettingsError
from imil.json_files import read_table
from imil.pytorch.torchvision_import import import_torchvision

DENSENETS = ("densenet121", "densenet161", "densenet169", "densenet201")
FILMS = {  # TorchXRayVision takes pixels from -1024 to 1024
    "mean": (0.5,) * 3,
    "std": (0.5 / 1024,) * 3,
    # thresholds of its trained models, by which it scales probabilities: not of the network
    "unused_weights": ("op_threshs",),
}


def of_torchvision(name: str, classes: int, weights: str, depth: int) -> nn.Module:
    """A classifier of torchvision, such as `densenet121`.

    Raises: SettingsError: there is none of that name.
    """
    import_torchvision()
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    return _built("torchvision", name, lambda: models.get_model(name, num_classes=classes))


def of_monai(name: str, classes: int, weights: str, depth: int) -> nn.Module:
    """A classifier of MONAI, such as `DenseNet121`, of images or, where depth > 1, of volumes.

    Raises: SettingsError: there is none of that name, or it takes other arguments.
    """
    from monai.networks import nets

    if not callable(getattr(nets, name, None)):
        raise _unknown("monai", name, [one for one in dir(nets) if one[0].isupper()])
    make = getattr(nets, name)
    dims, channels = (3, 1) if depth > 1 else (2, 3)
    ways = (
        {"spatial_dims": dims, "in_channels": channels, "out_channels": classes},
        {"spatial_dims": dims, "n_input_channels": channels, "num_classes": classes},
        {"spatial_dims": dims, "in_channels": channels, "num_classes": classes},
    )
    return _built("monai", name, *(lambda way=way: make(**way) for way in ways))


def of_torchxrayvision(name: str, classes: int, weights: str, depth: int) -> nn.Module:
    """A DenseNet for chest films of TorchXRayVision, such as `densenet121`, without its sigmoid.

    Raises: SettingsError: it is none of these.
    """
    import_torchvision()
    with warnings.catch_warnings():  # its import turns off all warnings
        from torchxrayvision import models

    if name not in DENSENETS:
        raise SettingsError(
            f"--model 'torchxrayvision:{name}' is not known: give torchxrayvision:densenet121 "
            f"({', '.join(DENSENETS[1:])}), and trained weights as a file with --weights"
        )
    shape = models.get_densenet_params(name)
    net: nn.Module = models.DenseNet(num_classes=classes, in_channels=1, **shape)
    net.register_forward_pre_hook(_grey)
    return net


def of_transformers(name: str, classes: int, weights: str, depth: int) -> nn.Module:
    """A classifier of transformers, by the config.json in a local folder.

    Raises: SettingsError: the folder holds none. DataError: its weights are of another model.
    """
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise SettingsError(
            f"--model transformers:{name} is not a folder with a config.json: save the model there "
            "with save_pretrained, or download its files into it"
        )
    import_torchvision()
    from transformers import AutoConfig, AutoModelForImageClassification

    def make() -> Any:
        config = AutoConfig.from_pretrained(folder)
        config.num_labels = classes
        if not are_of_folder(f"transformers:{name}", weights):
            return AutoModelForImageClassification.from_config(config)
        net, info = AutoModelForImageClassification.from_pretrained(
            folder, config=config, ignore_mismatched_sizes=True, output_loading_info=True
        )
        _check_loaded(net, info, weights)
        return net

    net = _built("transformers", name, make)
    net.register_forward_hook(_logits)
    return net


def are_of_folder(name: str, weights: str) -> bool:
    """Whether the weights are those beside a transformers model's config.json.

    Such a file has names of its own for layers, which transformers alone can read.
    """
    library, _, folder = name.partition(":")
    return library == "transformers" and Path(weights).parent == Path(folder)


def _check_loaded(net: nn.Module, info: Any, weights: str) -> None:
    """Raises: DataError: more than the head is missing in a file of weights."""
    head = f"{_last_linear(net)}."
    lost = [*info["missing_keys"], *(one[0] for one in info["mismatched_keys"])]
    odd = sorted(one for one in lost if not one.startswith(head))
    if odd:
        raise DataError(
            f"the weights in {weights} do not fit the model: layers {', '.join(odd[:5])} are "
            "missing or of another shape; name the --model that they were saved from"
        )


def _last_linear(net: nn.Module) -> str:
    """The name of the last linear layer; empty where there is none."""
    linear = [path for path, part in net.named_modules() if isinstance(part, nn.Linear)]
    return linear[-1] if linear else ""


def _grey(_net: nn.Module, images: tuple[torch.Tensor]) -> torch.Tensor:
    return images[0].mean(dim=1, keepdim=True)


def _logits(_net: nn.Module, _args: Any, output: Any) -> Any:
    return output.logits


LIBRARIES: dict[str, Callable[[str, int, str, int], nn.Module]] = {
    "monai": of_monai,
    "torchvision": of_torchvision,
    "torchxrayvision": of_torchxrayvision,
    "transformers": of_transformers,
}


def is_of_other_library(name: str) -> bool:
    """Whether a value of `model` names a library, as LIBRARY:NAME."""
    return ":" in name


def build_other(name: str, classes: int, weights: str, depth: int = 1) -> nn.Module:
    """The model that `LIBRARY:NAME` names, initialised from torch's global random state.

    Args:
        weights: taken where they are of the model's own folder, see `are_of_folder`.
        depth: slices of its input; 1: it takes images.
    Raises: SettingsError: unknown library or model, or the library is not installed.
    """
    library, _, rest = name.partition(":")
    if library not in LIBRARIES:
        raise SettingsError(
            f"--model '{name}' names no library that is known: give one of timm's models, or "
            + ", ".join(f"{one}:NAME" for one in LIBRARIES)
        )
    try:
        net = LIBRARIES[library](rest, classes, weights, depth)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--model {name} needs {error.name}, which is not installed: pip install {library}"
        ) from error
    size = getattr(getattr(net, "config", None), "image_size", 224)
    # as timm's models say it: the layer that gives the logits, the input, and what it was scaled to
    net.pretrained_cfg = {  # type: ignore[assignment]
        "classifier": _last_linear(net),
        "input_size": (3, size, size),
        **(FILMS if library == "torchxrayvision" else _scaling(library, rest)),
    }
    if depth > 1:  # grey alone
        net.pretrained_cfg |= {"input_size": (1, depth, size, size), "mean": (0.5,), "std": (0.5,)}  # type: ignore[operator]
    return net


def _scaling(library: str, name: str) -> dict[str, Any]:
    """Mean and standard deviation of each channel: a folder's own, or ImageNet's."""
    file = Path(name) / "preprocessor_config.json"
    has_own = library == "transformers" and file.is_file()
    given = read_table(file, "save the model anew") if has_own else {}
    return {
        "mean": tuple(given.get("image_mean") or IMAGENET_DEFAULT_MEAN),
        "std": tuple(given.get("image_std") or IMAGENET_DEFAULT_STD),
    }


def _unknown(library: str, name: str, known: list[str]) -> SettingsError:
    near = difflib.get_close_matches(name, known, 3)
    hint = f"did you mean {' or '.join(near)}" if near else f"it has {', '.join(known[:5])} ..."
    return SettingsError(f"--model '{library}:{name}' is not known to {library}: {hint}")


def _built(library: str, name: str, *ways: Callable[[], Any]) -> nn.Module:
    """The first of several ways to make the model that its arguments allow."""
    why: Exception | None = None
    for way in ways:
        try:
            net: nn.Module = way()
            return net
        except (TypeError, ValueError, OSError) as error:
            why = why or error
    raise SettingsError(f"--model {library}:{name} cannot be built for images and classes: {why}")
