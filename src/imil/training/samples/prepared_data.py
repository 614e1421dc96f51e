"""The images of a run: read, split and decoded, as samples of each split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import Image
from imil.data.burned_in import describe_burned_in
from imil.data.identical_images import check_identical_images
from imil.data.image_cache import decode_images
from imil.data.mask_files import check_selections, mask_contents
from imil.data.splits import check_contents, read_splits, split, write_splits
from imil.data.table import Table, check_masks, read_data
from imil.errors import DataError, SettingsError
from imil.geometry import Geometry
from imil.images.file_parts import shown_part, split_part
from imil.images.load import image_geometry, load_image, load_mask
from imil.images.whole_volumes import load_volume_mask, load_whole_volume, volume_geometry
from imil.pytorch import CorrectedDataset
from imil.run_folder import RunFolder
from imil.settings import TrainSettings

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """Every image at the training size, and its split."""

    table: Table
    # (N, S, S) or (N, S, S, 3), of volumes (N, D, S, S, 1), usually mapped from the cache's file
    pixels: NDArray[np.uint8]
    split_of: tuple[str, ...]
    bad: tuple[tuple[str, str], ...]  # key and error message of the images left out
    original: Callable[[int], Image] | None = None  # row -> what a reader sees; None: the file
    contents: tuple[str, ...] = ()  # N SHA-256 of the files
    notes: tuple[str, ...] = ()  # what is to be known of the data, a sentence each

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self.table.class_names

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have samples, train first."""
        return tuple(name for name in ("train", "val", "test") if name in self.split_of)

    @property
    def are_volumes(self) -> bool:
        """Whether samples are volumes."""
        return self.pixels.ndim == 5

    def rows(self, name: str) -> NDArray[np.intp]:
        """Which rows of the table are in a split, ascending; sample i of the split is the i-th."""
        return np.flatnonzero(np.asarray(self.split_of) == name)

    def samples(self, name: str) -> CorrectedDataset:
        """The samples of a split."""
        rows = self.rows(name)
        show = self.original or self.load_original

        def original(i: int) -> Image:
            image = show(int(rows[i]))
            return image[..., None] if self.are_volumes else image

        return CorrectedDataset(
            Pixels(self.pixels, rows, self.table.labels[rows]),
            transform=to_pixels,
            view=to_pixels,
            labels=self.table.labels[rows],
            class_names=self.class_names,
            keys=[self.table.keys[i] for i in rows],
            original=original,
            geometry=lambda i: self._geometry(self.table.images[rows[i]]),
            threadsafe=True,
        )

    def load_original(self, row: int) -> Image:
        """An image at full resolution, from its file: uint8 or uint16, (H, W) or (H, W, 3).

        Of a volume, (D, H, W).
        """
        if self.are_volumes:
            return load_whole_volume(self.table.images[row])
        return load_image(shown_part(self.table.images[row]))

    def masks(self, key: str) -> list[NDArray[np.bool_] | None]:
        """The masks of a sample, in the order of the table's mask columns."""
        row = self.table.keys.index(key)
        paths = [column[row] for column in self.table.masks.values()]
        load = load_volume_mask if self.are_volumes else load_mask
        return [None if path is None else load(path) for path in paths]

    def _geometry(self, path: Path) -> Geometry:
        return volume_geometry(path) if self.are_volumes else image_geometry(path)


@dataclass(frozen=True)
class Pixels:
    """Some rows of the decoded images, with their labels."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.intp]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[NDArray[np.uint8], int]:
        """Raw pixels and label of the i-th sample."""
        return self.pixels[self.rows[i]], int(self.labels[i])


def decode_table(
    table: Table, settings: TrainSettings, *, cache: Path, progress: Progress
) -> Prepared:
    """The images of a table that can be read, at the training size, not yet split.

    Raises: DataError: an image cannot be read, unless `skip_bad` is set.
    """
    _check_channels(table, settings.channels)
    images = decode_images(
        table,
        size=settings.image_size,
        channels=settings.channels,
        depth=settings.image_depth,
        folder=cache,
        skip_bad=settings.skip_bad,
        progress=progress,
    )
    bad = {key for key, _ in images.bad}
    table = table.select([i for i, key in enumerate(table.keys) if key not in bad])
    return Prepared(table, images.array, ("",) * len(table), images.bad, contents=images.contents)


def _check_channels(table: Table, channels: int) -> None:
    """Raises: SettingsError: neighbours would be mixed to one channel."""
    for key, image in zip(table.keys, table.images, strict=True):
        _, part = split_part(image)
        if channels == 1 and part is not None and part.kind == "slices":
            raise SettingsError(
                f"--channels 1 would mix the three slices of '{key}': give --channels 3, or name "
                "one slice"
            )


def prepare_external(
    settings: TrainSettings, data: str, classes_of: Prepared, *, cache: Path
) -> CorrectedDataset:
    """The images of an external table, which are never split and never trained on.

    Raises: DataError: it cannot be read, or it has a class that `classes_of` does not have.
    """
    table = read_data(Path(data), settings.columns())
    images = decode_table(table, settings, cache=cache, progress=lambda _done, _total: None)
    table = relabel(images.table, classes_of)
    external = replace(images, table=table, split_of=("external",) * len(table))
    return external.samples("external")


def relabel(table: Table, classes_of: Prepared) -> Table:
    """The table with the labels of the other data, whose classes are matched by name.

    Raises: DataError: the other data do not have a class of the table.
    """
    unknown = [name for name in table.class_names if name not in classes_of.class_names]
    if unknown:
        raise DataError(
            f"unknown class '{unknown[0]}', expected {', '.join(classes_of.class_names)}: give the "
            "classes of both tables the same names"
        )
    labels = np.array([classes_of.class_names.index(name) for name in table.class_names], np.int64)
    return replace(table, labels=labels[table.labels], class_names=classes_of.class_names)


def to_pixels(image: NDArray[np.uint8]) -> torch.Tensor:
    """Raw pixels as uint8 (C, S, S); `Classifier` scales and normalises whole batches.

    Of volumes, (C, D, S, S).
    """
    if image.ndim == 4:
        return torch.from_numpy(np.array(image.transpose(3, 0, 1, 2)))
    array = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.array(array))


def prepare(
    settings: TrainSettings, folder: RunFolder, *, cache: Path, progress: Progress
) -> Prepared:
    """Read, decode and split the images. A run whose split is written already keeps it.

    Raises: DataError: the data cannot be used, or have changed since the split was written.
    """
    table = read_data(Path(settings.data), settings.columns())
    images = decode_table(table, settings, cache=cache, progress=progress)
    table = images.table
    check_masks(table, settings.image_depth)
    masks = mask_contents(table, cache)
    if folder.splits.exists():
        split_of = read_splits(folder.splits, table)
        check_contents(folder.splits, table, images.contents, masks)
    else:
        split_of = split(
            table, test=settings.test_share, val=settings.val_share, seed=settings.seed
        )
    if settings.image_depth == 1:  # a volume's mask says it by 0, as `check_masks` saw
        check_selections(table, cache)
    notes = check_identical_images(table, images.contents, split_of)
    if settings.check_burned_in and not folder.splits.exists():  # once, before the first epoch
        notes += describe_burned_in(table.keys, table.images)
    if not folder.splits.exists():
        write_splits(folder.splits, table, split_of, images.contents, masks)
    return replace(images, split_of=split_of, notes=tuple(notes))
