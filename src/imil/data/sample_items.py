"""What a data set's items must be, and the labels, keys and class names of its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.errors import DataError

MOST_CHANNELS = 4  # of a picture; a first or last axis of so many is not its height or width


def item_of(dataset: Any, i: int) -> tuple[Any, Any]:
    """The i-th raw image and its label.

    Raises: DataError: the item is no pair of the two.
    """
    item = dataset[i]
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    given = f"a {type(item).__name__}"
    if isinstance(item, Mapping):
        given = f"a dictionary of {', '.join(map(repr, list(item)[:4]))}"
    elif isinstance(item, tuple | list):
        given = f"a {type(item).__name__} of {len(item)}"
    raise DataError(
        f"item {i} of the data set is {given}: give a data set whose items are pairs, (image, "
        "label)"
    )


def check_axes(image: Any) -> None:
    """Raises: DataError: an array has its channels first, or a tensor has them last."""
    is_tensor = hasattr(image, "movedim")  # PyTorch's, which need not be installed here
    if not (isinstance(image, np.ndarray) or is_tensor) or image.ndim != 3:
        return
    first, middle, last = image.shape
    if isinstance(image, np.ndarray) and first <= MOST_CHANNELS < min(middle, last):
        raise DataError(
            f"a raw image is an array {tuple(image.shape)}, with its channels first: give arrays "
            "(H, W, C), such as array.transpose(1, 2, 0), or a tensor, torch.from_numpy(array)"
        )
    if is_tensor and last <= MOST_CHANNELS < min(first, middle):
        raise DataError(
            f"a raw image is a tensor {tuple(image.shape)}, with its channels last: give tensors "
            "(C, H, W), such as tensor.movedim(-1, 0)"
        )


def labels_of(dataset: Any) -> NDArray[np.int64]:
    """The labels of the items, (N,).

    `dataset.targets` saves reading them, where the items have these labels. It is compared with one
    item of each target: a `target_transform`, for one, may make other labels of them.

    Raises: DataError: the labels are not one whole number for each sample.
    """
    targets = getattr(dataset, "targets", None)
    if targets is not None:
        labels = whole(targets)
        _, firsts = np.unique(labels, return_index=True)
        if len(labels) != len(dataset) or _agree(dataset, labels, firsts):
            return labels
    return whole([item_of(dataset, i)[1] for i in range(len(dataset))])


def _agree(dataset: Any, labels: NDArray[np.int64], rows: NDArray[np.integer[Any]]) -> bool:
    return all(whole([item_of(dataset, i)[1]])[0] == labels[i] for i in rows.tolist())


def whole(labels: Any) -> NDArray[np.int64]:
    """Raises: DataError: a label is not a whole number, or there is more than one for a sample."""
    try:
        if not isinstance(labels, np.ndarray):
            labels = [label.item() if hasattr(label, "item") else label for label in labels]
        given = np.asarray(labels)
        with np.errstate(invalid="ignore"):
            result = given.astype(np.int64)
        if result.ndim == 1 and (result == given).all():
            return result
    except (RuntimeError, TypeError, ValueError):  # the first is PyTorch's, of a row of numbers
        pass
    raise DataError("the labels are not one whole number for each sample: give 0, 1, 2 …")


def class_names_of(dataset: Any, labels: NDArray[np.int64]) -> tuple[str, ...]:
    """`dataset.classes`, otherwise the labels' numbers, from 0 to the highest."""
    named = getattr(dataset, "classes", None)
    return tuple(map(str, range(int(labels.max(initial=0)) + 1) if named is None else named))


def keys_of(dataset: Any) -> tuple[str, ...]:
    """The file names in `dataset.samples`, otherwise positions."""
    samples = getattr(dataset, "samples", None)
    if samples is not None:
        return tuple(str(path) for path, _ in samples)
    return tuple(str(i) for i in range(len(dataset)))


def check_samples(
    n: int, labels: NDArray[np.int64], keys: Sequence[str], class_names: Sequence[str]
) -> None:
    """Check what a round takes for granted of n samples.

    Raises: DataError: numbers differ, keys repeat, or a label is out of range.
    """
    if not n == len(labels) == len(keys):
        raise DataError(
            f"{n} samples, {len(labels)} labels and {len(keys)} keys: "
            "give one label and one key for each sample"
        )
    if len(set(keys)) < n:
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"the key '{twice}' names more than one sample: make keys unique")
    outside = (labels < 0) | (labels >= len(class_names))
    if outside.any():
        raise DataError(
            f"label {labels[outside][0]} is out of range: "
            f"give 0 to {len(class_names) - 1}, one for each class name"
        )
