"""Prepared data into which a shortcut is planted, and the test images with it for and against.

A training image that carries the shortcut carries it everywhere: in the pixels that are trained on
and in the original that a reader is shown. Nothing is written to the images' files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.data.shortcuts import Kind, Place, carriers, plant, planted_squares
from imil.grid import Grid
from imil.pytorch import CorrectedDataset
from imil.training.samples.prepared_data import Prepared

TRAINED_ON = ("train", "val")


@dataclass(frozen=True)
class Mark:
    """The shortcut: what it looks like, and where."""

    kind: Kind
    place: Place

    def plant(self, data: Prepared, marked: NDArray[np.bool_]) -> Prepared:
        """The data with the shortcut in some images.

        Memory: a copy of the decoded images, N × S² bytes for grey ones.

        Args:
            marked: bool (N,), which images carry it.
        """
        pixels = np.array(data.pixels)
        if marked.any():
            pixels[marked] = plant(pixels[marked], self.kind, self.place)

        def original(row: int) -> Image:
            image = data.load_original(row)
            return plant(image, self.kind, self.place) if marked[row] else image

        return replace(data, pixels=pixels, original=original)

    def squares(self, grid: Grid, side: int) -> NDArray[np.bool_]:
        """The pixels of the squares that it touches, bool (side, side)."""
        return grid.mask(planted_squares(self.kind, self.place, grid), side, side)


def plant_training(data: Prepared, mark: Mark, *, share: float, seed: int) -> Prepared:
    """The data with the shortcut in the training and validation images that carry it.

    Test images stay as they are.

    Args:
        share: of the last class that carries it, and of the others that do not, in [0.5, 1].
        seed: of the training; which images carry it follows from it and their keys.
    """
    table = data.table
    carry = carriers(table.keys, table.labels, len(data.class_names), share=share, seed=seed)
    return mark.plant(data, carry & np.isin(data.split_of, TRAINED_ON))


def counterfactual_sets(data: Prepared, mark: Mark) -> dict[str, CorrectedDataset]:
    """The test images twice: the shortcut argues for the true class of each, and against it.

    `test-for`: images of the last class carry it, those of the others do not. `test-against`: the
    reverse. Both have the test set's images in its order.

    Args:
        data: the test images as they are.
    """
    rows = np.flatnonzero(np.asarray(data.split_of) == "test")
    test = Prepared(
        table=data.table.select([int(row) for row in rows]),
        pixels=data.pixels[rows],
        split_of=("test",) * len(rows),
        bad=(),
    )
    last = test.table.labels == len(data.class_names) - 1
    return {
        "test-for": mark.plant(test, last).samples("test"),
        "test-against": mark.plant(test, ~last).samples("test"),
    }
