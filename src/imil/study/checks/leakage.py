"""What is trained on must not be tested on: overlaps of splits, data and external sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.data.near_duplicates import Rows, find_near_duplicates, identical_files
from imil.errors import DataError
from imil.study.image_sets import DATA, ImageSet

SHOWN = 5  # pairs that a warning names
NAMED = 3  # pairs that an error names
Splits = Sequence[Sequence[str]]  # `train`, `val` or `test` of each image of the data


class Everything:
    """All images of all sets, one after the other, the data first.

    Args:
        sets: the data, then the external sets.
        splits: those of the data.
    """

    def __init__(self, sets: Sequence[ImageSet], splits: Splits) -> None:
        self.contents = [content for one in sets for content in one.contents]
        self.names = [f"'{key}'{_of(one)}" for one in sets for key in one.keys]
        self.labels = [label for one in sets for label in one.images.table.labels.tolist()]
        self.set = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
        self.within = len(sets[0])
        self.trains, self.tests = (
            np.array([[split == name for split in one] for one in splits], bool)
            for name in ("train", "test")
        )
        self._code = np.unique(self.contents, return_inverse=True)[1]

    def apart(self, i: Rows, j: Rows) -> NDArray[np.bool_]:
        """Whether one of a pair may be learned from and the other tested on, (M,), i < j."""
        apart = (self.set[i] == 0) & (self.set[j] > 0)
        rows = np.flatnonzero(self.set[j] == 0)  # then i is of the data too
        left, right = i[rows], j[rows]
        for train, test in zip(self.trains, self.tests, strict=True):
            apart[rows] |= (train[left] & test[right]) | (test[left] & train[right])
        return apart

    def differ(self, i: Rows, j: Rows) -> NDArray[np.bool_]:
        """Whether the files of a pair hold different bytes, (M,)."""
        return np.asarray(self._code[i] != self._code[j])


def check_overlaps(sets: Sequence[ImageSet], splits: Splits) -> list[str]:
    """Warnings of images that are there twice, or almost, a sentence each.

    Args:
        sets: the data, then the external sets.
        splits: each split of the data.
    Raises: DataError: the same image is trained on and tested on.
    """
    every = Everything(sets, splits)
    pairs = [pair for rows in identical_files(every.contents) for pair in _told(every, rows)]
    leaks = [(i, j, why) for i, j, why in pairs if why]
    if leaks:
        named = "; ".join(
            f"{every.names[i]} and {every.names[j]}, {why}" for i, j, why in leaks[:NAMED]
        )
        more = f"; and {len(leaks) - NAMED} more" if len(leaks) > NAMED else ""
        raise DataError(
            f"the same image is trained on and tested on under two names ({named}{more}): "
            "take one of the two out, or, where the split is drawn, give both the same patient"
        )
    return [*_twice(every, [(i, j) for i, j, _ in pairs]), *_alike(every, sets)]


def _of(one: ImageSet) -> str:
    return "" if one.name == DATA else f" of {one.name}"


def _told(every: Everything, rows: tuple[int, ...]) -> Iterator[tuple[int, int, str]]:
    """Two of these equal images, and where they leak; nothing where they do not."""
    of_data = [i for i in rows if i < every.within]
    apart = [i for i in rows if i >= every.within]
    for number, (train, test) in enumerate(zip(every.trains, every.tests, strict=True)):
        learned = [i for i in of_data if train[i]]
        tested = [i for i in of_data if test[i]]
        if learned and tested:
            yield learned[0], tested[0], f"in the training and the test set of split {number}"
            return
    if of_data and apart:
        yield of_data[0], apart[0], "in the data and an external set"
        return
    yield rows[0], rows[1], ""


def _twice(every: Everything, pairs: Sequence[tuple[int, int]]) -> Iterator[str]:
    if not pairs:
        return
    shown = ", ".join(f"{every.names[i]} and {every.names[j]}" for i, j in pairs[:SHOWN])
    what = "image is" if len(pairs) == 1 else "images are"
    yield f"{len(pairs)} {what} there more than once, never both in training and test: {shown}"
    odd = [(i, j) for i, j in pairs if every.labels[i] != every.labels[j]]
    if odd:
        i, j = odd[0]
        yield f"the same image has two labels: {every.names[i]} and {every.names[j]}"


def _alike(every: Everything, sets: Sequence[ImageSet]) -> Iterator[str]:
    def matter(i: Rows, j: Rows) -> NDArray[np.bool_]:
        return every.apart(i, j) & every.differ(i, j)

    prints = np.concatenate([one.prints for one in sets])
    count, most = find_near_duplicates(prints, matter, shown=SHOWN)
    if count:
        shown = ", ".join(
            f"{every.names[i]} and {every.names[j]} ({alike:.2f})" for i, j, alike in most
        )
        what = "1 pair of images looks" if count == 1 else f"{count} pairs of images look"
        yield (
            f"{what} almost alike (correlation of edges), one to train on and one to test on: "
            f"{shown}; where both are the same film, results are too good"
        )
