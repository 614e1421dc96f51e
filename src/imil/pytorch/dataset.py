"""A training set that a round can correct, around a data set that knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from imil.cases import Image, Kept
from imil.errors import DataError
from imil.images.load import grey_or_rgb
from imil.pytorch.corrections import Corrections

Transform = Callable[[Any], Any]


class CorrectedDataset(Dataset[tuple[Any, int]]):
    """The data set, with each sample as the rounds so far have left it.

    An item is drawn in this order: raw image, correction, `transform`. So black is pixel 0 and
    lies where the reader put it, whatever the transform does afterwards.

    Args:
        dataset: gives (raw image, label) for each position: a PIL image, an array (H, W) or
            (H, W, C), or a tensor (C, H, W), before any transform.
        transform: raw image -> tensor for training; may be random.
        view: raw image -> tensor (C, h, w) for predicting and explaining; must not be random.
            Needed when there is a transform. Both default to float in [0, 1].
        labels: (N,); otherwise `dataset.targets`, otherwise each item is read once.
        class_names: otherwise `dataset.classes`, otherwise the labels' numbers.
        keys: N stable, unique names; otherwise the file names in `dataset.samples`, otherwise
            positions, which hold only as long as the data set keeps its order.
        original: position -> image that readers are shown; otherwise the raw image.
        threadsafe: whether `original` may be called in several threads at once, which has large
            films with the readers sooner.
    Raises: DataError: lengths differ, keys repeat, a label is no class, or a transform
        lacks its view.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        transform: Transform | None = None,
        view: Transform | None = None,
        labels: Sequence[int] | NDArray[np.int64] | None = None,
        class_names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        original: Callable[[int], Image] | None = None,
        threadsafe: bool = False,
    ) -> None:
        if transform is not None and view is None:
            raise DataError(
                "a transform alone is not enough: give `view` too, the same without anything "
                "random, for predicting and explaining"
            )
        self.dataset = dataset
        self.corrections = Corrections(len(dataset))
        self._transform = transform or to_float
        self._view = view or to_float
        self._original = original
        self.threadsafe = threadsafe and original is not None
        self.labels: NDArray[np.int64] = _whole(_labels(dataset) if labels is None else labels)
        named = getattr(dataset, "classes", None) if class_names is None else class_names
        if named is None:
            named = range(int(self.labels.max(initial=0)) + 1)
        self.class_names: tuple[str, ...] = tuple(map(str, named))
        self._keys = tuple(map(str, _keys(dataset) if keys is None else keys))
        self._check()

    def _check(self) -> None:
        n = len(self.dataset)
        if not n == len(self.labels) == len(self._keys):
            raise DataError(
                f"{n} samples, {len(self.labels)} labels and {len(self._keys)} keys: "
                "give one label and one key for each sample"
            )
        if len(set(self._keys)) < n:
            twice = next(key for key in self._keys if self._keys.count(key) > 1)
            raise DataError(f"the key '{twice}' names more than one sample: make keys unique")
        outside = (self.labels < 0) | (self.labels >= len(self.class_names))
        if outside.any():
            raise DataError(
                f"label {self.labels[outside][0]} is no class: "
                f"give 0 to {len(self.class_names) - 1}, one for each class name"
            )

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        """The i-th sample as it is trained on, and its label."""
        image, label = self.dataset[i]
        return self._transform(self.corrections.apply(image, i)), label

    def view(self, i: int) -> torch.Tensor:
        """The i-th original as the model sees it, without anything random."""
        view: torch.Tensor = self._view(self.dataset[i][0])
        return view

    def key(self, i: int) -> str:
        """Stable name of the i-th sample."""
        return self._keys[i]

    def image(self, i: int) -> Image:
        """The i-th original as a reader sees it: uint8 or uint16, (H, W) or (H, W, 3)."""
        return as_image(self.dataset[i][0] if self._original is None else self._original(i))

    def correct(self, i: int, kept: Kept | None) -> None:
        """Keep only this of the i-th sample from now on; None restores it."""
        self.corrections.set(i, kept)

    def corrected(self, i: int) -> Kept | None:
        """What is kept of the i-th sample, or None if it is as it was."""
        return self.corrections.get(i)


def to_float(image: Any) -> torch.Tensor:
    """The raw image as float32 (C, H, W) in [0, 1]."""
    if not isinstance(image, torch.Tensor):
        array = np.asarray(image)
        image = torch.from_numpy(np.array(array[None] if array.ndim == 2 else array))
        image = image if array.ndim == 2 else image.movedim(-1, 0)
    if image.is_floating_point():
        return image.float()
    top = 65535 if image.dtype in (torch.uint16, torch.int32) else 255
    return image.float() / top


def as_image(raw: Any) -> Image:
    """A raw image as readers are shown it.

    Raises: DataError: it holds neither 8- nor 16-bit pixels, nor floats in [0, 1]; or it has
        other channels than grey or red, green and blue.
    """
    if getattr(raw, "mode", "F") not in ("F", "I"):  # of Pillow: perhaps a palette, alpha, inks
        try:
            array: NDArray[Any] = grey_or_rgb(raw)
        except DataError as error:
            raise DataError(f"a raw image {error}") from None
    else:
        array = raw.movedim(0, -1).numpy() if _is_chw(raw) else np.asarray(raw)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] != 3):
        raise DataError(
            f"raw images of shape {tuple(array.shape)} cannot be shown: give (H, W) or (H, W, 3), "
            "a tensor (1, H, W) or (3, H, W), or pass `original`, a function that gives what a "
            "reader should see"
        )
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        return np.round(array * 255).astype(np.uint8)
    raise DataError(
        f"raw images of {array.dtype} cannot be shown: give 8- or 16-bit pixels or floats in "
        "[0, 1], or pass `original`, a function that gives what a reader should see"
    )


def _is_chw(raw: Any) -> bool:
    return isinstance(raw, torch.Tensor) and raw.ndim == 3


def _labels(dataset: Any) -> Any:
    targets = getattr(dataset, "targets", None)
    return [dataset[i][1] for i in range(len(dataset))] if targets is None else targets


def _whole(labels: Any) -> NDArray[np.int64]:
    """Raises: DataError: a label is no whole number, or there is more than one for a sample."""
    try:
        if not isinstance(labels, np.ndarray):
            labels = [label.item() if hasattr(label, "item") else label for label in labels]
        given = np.asarray(labels)
        with np.errstate(invalid="ignore"):
            found = given.astype(np.int64)
        if found.ndim == 1 and (found == given).all():
            return found
    except (RuntimeError, TypeError, ValueError):  # the first is PyTorch's, of a row of numbers
        pass
    raise DataError("the labels are not one whole number for each sample: give 0, 1, 2 …")


def _keys(dataset: Any) -> list[str]:
    samples = getattr(dataset, "samples", None)
    if samples is not None:
        return [str(path) for path, _ in samples]
    return [str(i) for i in range(len(dataset))]
