"""Data leakage: the same image in training and test sets, or in the data and an external set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.data.identical_images import (
    IN_WARNING,
    check_one_label,
    check_one_split,
    describe_identical,
)
from imil.data.near_duplicates import Rows, find_near_duplicates, identical_files
from imil.errors import DataError
from imil.study.checks.image_sets import DATA, ImageSet

IN_ERROR = 3  # pairs that an error names
Splits = Sequence[Sequence[str]]  # `train`, `val` or `test` of each image of the data


class AllImages:
    """All images of all sets, one after the other, the data first.

    Args:
        sets: the data, then the external sets.
        splits: those of the data.
    """

    def __init__(self, sets: Sequence[ImageSet], splits: Splits) -> None:
        self.contents = [content for one in sets for content in one.contents]
        self.names = [f"'{key}'{_of(one)}" for one in sets for key in one.keys]
        tables = [one.images.table for one in sets]
        self.classes = [one.class_names[label] for one in tables for label in one.labels.tolist()]
        self.set = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
        self.within = len(sets[0])
        self.trains, self.tests = (
            np.array([[split == name for split in one] for one in splits], bool)
            for name in ("train", "test")
        )
        self._code = np.unique(self.contents, return_inverse=True)[1]

    def leak(self, i: Rows, j: Rows) -> NDArray[np.bool_]:
        """Whether one of a pair may be trained on and the other tested on, (M,), i < j."""
        leak = (self.set[i] == 0) & (self.set[j] > 0)
        rows = np.flatnonzero(self.set[j] == 0)  # then i is in the data too
        left, right = i[rows], j[rows]
        for train, test in zip(self.trains, self.tests, strict=True):
            leak[rows] |= (train[left] & test[right]) | (test[left] & train[right])
        return leak

    def differ(self, i: Rows, j: Rows) -> NDArray[np.bool_]:
        """Whether the files of a pair differ, (M,)."""
        return np.asarray(self._code[i] != self._code[j])


def check_overlaps(sets: Sequence[ImageSet], splits: Splits) -> list[str]:
    """Warnings about duplicates and near-duplicates, a sentence each.

    Args:
        sets: the data, then the external sets.
        splits: each split of the data.
    Raises: DataError: the same image has two labels, or is trained on and tested on.
    """
    images = AllImages(sets, splits)
    check_one_label(images.names, images.contents, images.classes)
    names, contents = images.names[: images.within], images.contents[: images.within]
    for number, split_of in enumerate(splits):
        check_one_split(names, contents, split_of, number)
    _check_external(images)
    return [*describe_identical(images.names, images.contents), *_near_duplicates(images, sets)]


def _check_external(images: AllImages) -> None:
    """Raises: DataError: an image is in the data and in an external set."""
    leaks = [
        (rows[0], rows[-1])
        for rows in identical_files(images.contents)
        if rows[0] < images.within <= rows[-1]
    ]
    if leaks:
        named = "; ".join(
            f"{images.names[i]} and {images.names[j]}, in the data and an external set"
            for i, j in leaks[:IN_ERROR]
        )
        more = f"; and {len(leaks) - IN_ERROR} more" if len(leaks) > IN_ERROR else ""
        raise DataError(
            f"the same image is trained on and tested on under two names ({named}{more}): "
            "remove one of the two"
        )


def _of(one: ImageSet) -> str:
    return "" if one.name == DATA else f" of {one.name}"


def _near_duplicates(images: AllImages, sets: Sequence[ImageSet]) -> Iterator[str]:
    def wanted(i: Rows, j: Rows) -> NDArray[np.bool_]:
        return images.leak(i, j) & images.differ(i, j)

    prints = np.concatenate([one.prints for one in sets])
    count, closest = find_near_duplicates(prints, wanted, shown=IN_WARNING)
    if count:
        names = ", ".join(
            f"{images.names[i]} and {images.names[j]} ({similarity:.2f})"
            for i, j, similarity in closest
        )
        what = "1 pair of images is" if count == 1 else f"{count} pairs of images are"
        yield (
            f"{what} nearly identical (correlation of edges), one to train on and one to test on: "
            f"{names}; if both are the same film, the results are too good"
        )
