"""Predictions of a trained network for images that it has never seen, and that have no label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from imil.data.cell_text import find_file
from imil.data.class_folders import find_images
from imil.data.column_names import find_column
from imil.data.decoded_file import decode_image, decode_volume
from imil.data.dicomweb import refuse_server
from imil.data.table_columns import TABLES, read_columns, read_names
from imil.errors import DataError
from imil.output_text import write_csv as write_rows
from imil.pytorch import TorchModel
from imil.threads import in_order
from imil.training.samples.prepared_data import to_pixels
from imil.training.trained_model import TrainedModel

BATCH = 64


@dataclass(frozen=True)
class ImagePredictions:
    """Predictions of images without labels.

    Args:
        images: N paths, as given or found.
        probs: (N, K), rows sum to 1.
        bad: path and error message of each image that could not be read and was left out.
    """

    images: tuple[Path, ...]
    probs: NDArray[np.float64]
    bad: tuple[tuple[Path, str], ...]


def find_inputs(paths: Sequence[Path], image_column: str = "image") -> list[Path]:
    """The image files that the paths name.

    Args:
        paths: images, folders (with all images in them, at any depth), or tables with a column of
            paths, relative to the table's folder.
        image_column: of a table.
    Raises: DataError: a path does not exist, or there is no image.
    """
    files: list[Path] = []
    for path in paths:
        refuse_server(path)
        if path.is_dir():
            images = find_images(path)
            if not images:
                raise DataError(f"'{path}' contains no image: give another folder, or files")
            files += images
        elif path.suffix.lower() in TABLES:
            files += _of_table(path, image_column)
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"'{path}' does not exist: give images, folders or tables of images")
    return files


def predict_images(
    trained: TrainedModel,
    files: Sequence[Path],
    *,
    device: torch.device,
    skip_bad: bool = False,
    progress: Callable[[int], None] = lambda _done: None,
) -> ImagePredictions:
    """Decode the images as in training, and predict them.

    Args:
        files: the images.
        device: where to predict.
        skip_bad: leave out images that cannot be read.
        progress: is called with the number of images done.
    Raises: DataError: an image cannot be read, unless `skip_bad` is set.
    """
    model = TorchModel(trained.module.to(device), batch_size=BATCH, outputs="logits")
    kept: list[Path] = []
    bad: list[tuple[Path, str]] = []
    probs = [np.empty((0, len(trained.description.class_names)))]
    decoded = zip(files, _decoded(trained, files), strict=True)
    while part := list(islice(decoded, BATCH)):
        bad += [(path, image) for path, image in part if isinstance(image, str)]
        if bad and not skip_bad:
            raise DataError(f"{bad[0][1]}: repair it, or leave it out with --skip-bad")
        images = [(path, image) for path, image in part if not isinstance(image, str)]
        if images:
            pixels = torch.stack([to_pixels(image) for _, image in images]).to(device)
            probs.append(softmax(model.logits(pixels), axis=1))
        kept += [path for path, _ in images]
        progress(len(kept) + len(bad))
    return ImagePredictions(tuple(kept), np.concatenate(probs), tuple(bad))


def _decoded(trained: TrainedModel, files: Sequence[Path]) -> Iterator[NDArray[np.uint8] | str]:
    """Each image at the network's size, or why it cannot be read."""
    size, channels = trained.description.image_size, trained.description.channels
    depth = trained.description.image_depth
    if depth > 1:
        return in_order(lambda path: decode_volume(path, depth, size), files)
    return in_order(lambda path: decode_image(path, size, channels), files)


def _of_table(path: Path, column: str) -> list[Path]:
    present = read_names(path)
    found = find_column(present, column)
    if found is None:
        raise DataError(
            f"'{path}' has no column '{column}' but {', '.join(present)}: name the right one with "
            "--image-column"
        )
    cells = read_columns(path, {found}, paths={found})[1][found]
    empty = next((i for i, cell in enumerate(cells) if not cell), None)
    if empty is not None:
        raise DataError(f"row {empty + 1} of '{path}' has no image: add its path, or remove it")
    return [find_file(path.parent, cell.replace("\\", "/")) for cell in cells]


def write_csv(file: TextIO, predictions: ImagePredictions, class_names: Sequence[str]) -> None:
    """A line per image: image, predicted, confidence, and a column `prob_NAME` per class."""
    heads = ["image", "predicted", "confidence", *(f"prob_{name}" for name in class_names)]
    rows: list[list[str]] = []
    for path, probs in zip(predictions.images, predictions.probs, strict=True):
        shares = [f"{p:.6f}" for p in probs]
        best = int(probs.argmax())
        rows.append([str(path), class_names[best], shares[best], *shares])
    write_rows(file, [heads, *rows])
