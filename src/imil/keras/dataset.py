"""A training set that a round can correct, around any data set, without a framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Correction, Image
from imil.data.sample_items import (
    check_axes,
    check_samples,
    class_names_of,
    item_of,
    keys_of,
    labels_of,
    whole,
)
from imil.errors import DataError
from imil.fills import blackout
from imil.images.shown_image import shown_image

Transform = Callable[[NDArray[Any]], Any]
Pixels = NDArray[np.float32]


class CorrectedDataset:
    """The data set, with each sample as the rounds so far have left it.

    An item is drawn in this order: raw image, black where the reader did not select, `transform`.

    Args:
        dataset: gives (raw image, label) for each position: a PIL image or an array (H, W) or
            (H, W, C), before any transform.
        transform: raw array -> float (h, w, C) for training; may be random.
        view: raw array -> float (h, w, C) for predicting and explaining; must not be random.
            Needed when there is a transform. Both default to float32 in [0, 1].
        labels: (N,); otherwise `dataset.targets`, if items have these labels, otherwise each item
            is read once.
        class_names: otherwise `dataset.classes`, otherwise the labels' numbers.
        keys: N stable, unique names; otherwise the file names in `dataset.samples`, otherwise
            positions.
        original: position -> image that readers are shown; otherwise the raw image.
    Raises: DataError: lengths differ, keys repeat, a label is out of range, a transform lacks its
        view, or items are not pairs.
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
    ) -> None:
        if transform is not None and view is None:
            raise DataError(
                "a transform alone is not enough: give `view` too, the same without anything "
                "random, for predicting and explaining"
            )
        self.dataset = dataset
        self._transform, self._view, self._original = transform, view, original
        self.labels: NDArray[np.int64] = labels_of(dataset) if labels is None else whole(labels)
        if class_names is None:
            class_names = class_names_of(dataset, self.labels)
        self.class_names: tuple[str, ...] = tuple(map(str, class_names))
        self._keys = tuple(map(str, keys_of(dataset) if keys is None else keys))
        check_samples(len(dataset), self.labels, self._keys, self.class_names)
        self._corrections: dict[int, Correction] = {}
        self._removed: set[int] = set()
        self.epochs_begun = self.batches = 0  # by `Batches` in a training, and of the last one

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[Pixels, int]:
        """The i-th sample as it is trained on, and its label."""
        raw, correction = self._raw(i), self._corrections.get(i)
        if correction is not None:
            keep = correction.grid.mask(correction.squares, *raw.shape[:2])
            raw = blackout(raw, keep)
        return _pixels((self._transform or to_float)(raw)), int(self.labels[i])

    def view(self, i: int) -> Pixels:
        """The i-th original as the model sees it, float32 (h, w, C)."""
        return _pixels((self._view or to_float)(self._raw(i)))

    def key(self, i: int) -> str:
        """Stable name of the i-th sample."""
        return self._keys[i]

    def image(self, i: int) -> Image:
        """The i-th original as a reader sees it: uint8 or uint16, (H, W) or (H, W, 3)."""
        if self._original is not None:
            return shown_image(self._original(i))
        return shown_image(item_of(self.dataset, i)[0])

    def correct(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it."""
        if correction is None:
            self._corrections.pop(i, None)
        else:
            self._corrections[i] = correction

    def corrected(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        return self._corrections.get(i)

    def remove(self, i: int) -> None:
        """Take the i-th sample out of training: from the next epoch on, others take its place."""
        self._removed.add(i)

    def rows(self) -> NDArray[np.int64]:
        """Positions of the samples that are trained on, in order."""
        return np.array([i for i in range(len(self)) if i not in self._removed], np.int64)

    def _raw(self, i: int) -> NDArray[Any]:
        image = item_of(self.dataset, i)[0]
        check_axes(image)
        return shown_image(image) if hasattr(image, "mode") else np.asarray(image)


def to_float(raw: NDArray[Any]) -> NDArray[Any]:
    """The raw image in [0, 1], (H, W) or (H, W, C)."""
    if raw.dtype.kind == "f":
        return raw
    return np.asarray(raw, np.float32) / np.iinfo(raw.dtype).max


def _pixels(image: Any) -> Pixels:
    """The image as float32 (h, w, C)."""
    array = np.asarray(image, np.float32)
    return array[..., None] if array.ndim == 2 else array
