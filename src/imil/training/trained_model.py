"""The file of a trained network: its weights, and all that is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save
from torch import Tensor, nn

from imil.atomic_files import atomic_write
from imil.errors import DataError
from imil.grid import Grid
from imil.training.classifier import Classifier
from imil.training.network import build
from imil.training.samples.augment import augment
from imil.training.samples.mixes import mix
from imil.treatments import find_treatment

METADATA = "imil"  # the key under which the file has its description


@dataclass(frozen=True)
class Description:
    """How a trained network is used.

    Args:
        model: as timm knows it.
        image_size: height and width of its input, in pixels.
        channels: 1 for grey images, 3 for colour.
        class_names: K names, in the order of the logits.
        grid: rows and columns of the grid that `squares` are numbered on; None: it sees all.
        squares: the squares that the network sees; the others are black in every image.
        tokens: whether a vision transformer is not given the patches of the other squares.
        image_depth: slices of its input; 1: it takes images.
    """

    model: str
    image_size: int
    channels: int
    class_names: tuple[str, ...]
    grid: tuple[int, int] | None = None
    squares: tuple[int, ...] = ()
    tokens: bool = False
    image_depth: int = 1


@dataclass(frozen=True)
class TrainedModel:
    """A trained network, in evaluation mode.

    Args:
        module: raw pixels (B, 1 or 3, S, S), 0 to 255 -> logits (B, K), within the field of view.
        description: how it is used.
    """

    module: Classifier
    description: Description


def write_model(path: Path, weights: Mapping[str, Tensor], description: Description) -> None:
    """Write the weights of the network, with the description as metadata."""
    tensors = {name: weight.contiguous() for name, weight in weights.items()}
    metadata = {METADATA: json.dumps(asdict(description), ensure_ascii=False)}
    with atomic_write(path) as half:
        # as bytes: an error of the disk then has the system's own words
        half.write_bytes(save(tensors, metadata=metadata))


def read_model(path: Path) -> TrainedModel:
    """The trained network of a file that `write_model` wrote.

    Raises: DataError: it is missing or damaged, or says nothing of how it is used.
    """
    description = _read_description(path)
    net = build(
        description.model,
        classes=len(description.class_names),
        image_size=description.image_size,
        image_depth=description.image_depth,
        weights=str(path),
    )
    module = inference_module(net, len(description.class_names))
    if description.grid is not None:
        grid, size = Grid(*description.grid), description.image_size
        module.see(grid, description.squares, size, tokens=description.tokens)
    return TrainedModel(module.eval(), description)


def inference_module(net: nn.Module, classes: int) -> Classifier:
    """The network with the scaling of pixels that it was trained with, not to be trained on."""
    return Classifier(
        net,
        optimizer="sgd",
        lr=0.0,
        momentum=0.0,
        mix=mix("none", classes),
        augment=augment(()),
        treatment=find_treatment("imil"),
    )


def _read_description(path: Path) -> Description:
    if not path.is_file():
        raise DataError(
            f"'{path}' does not exist: give the folder of a finished run, or its model.safetensors"
        )
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = (file.metadata() or {}).get(METADATA)
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(
            f"'{path}' is not a safetensors file, or is damaged: give the model.safetensors of a "
            "finished run"
        ) from error
    if metadata is None:
        raise DataError(
            f"'{path}' does not say which model and classes it has: it was not written by "
            "`imil train`, or by an earlier version; train again, or load it with timm"
        )
    try:
        return _description(json.loads(metadata))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"the description in '{path}' is damaged: give another copy") from error


def _description(values: dict[str, Any]) -> Description:
    grid = values["grid"]
    return Description(
        model=str(values["model"]),
        image_size=int(values["image_size"]),
        channels=int(values["channels"]),
        class_names=tuple(map(str, values["class_names"])),
        grid=None if grid is None else (int(grid[0]), int(grid[1])),
        squares=tuple(map(int, values["squares"])),
        tokens=bool(values.get("tokens", False)),
        image_depth=int(values.get("image_depth", 1)),
    )
