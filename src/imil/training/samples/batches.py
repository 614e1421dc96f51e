"""The training set in memory, drawn in whole batches where the network is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imil.pytorch import Corrections
from imil.pytorch.out_of_memory import ran_out
from imil.training.classifier import EpochOrder
from imil.training.hardware import host_memory
from imil.training.hardware.device import free_memory
from imil.training.samples.augment import to_device
from imil.training.samples.prepared_data import Pixels
from imil.treatments import Batch
from imil.treatments.batch import other_rows

if TYPE_CHECKING:
    from imil.training.ranks.team import Team

BeforeBatch = Callable[[int, NDArray[np.int64]], object]
CHUNK = 1024  # images copied to the device together
MEMORY_SHARE = 0.5  # of what the network leaves of the device's memory may hold images
HOST_SHARE = 0.25  # of the computer's; the jobs of a study may each take theirs at a time
BLOCK = 2**26  # bytes; of pinned memory PyTorch takes whole powers of two


class Batches:
    """The training set's originals in batches, each with the mask of what its corrections keep.

    Gives what a `DataLoader` over the samples gives, pixel for pixel, without a call for each
    image. There is one copy of the images. In the first epoch it is the file of decoded images,
    mapped into memory: the system may drop pages of it and read them again. From the second on it
    lies on the device, where it fits: by then the network has taken what it needs. Where it does
    not fit, it lies in memory that a GPU reads by itself, if the computer has enough.

    Args:
        source: the originals and their labels.
        corrections: of each of them; read anew for each batch.
        order: the positions of an epoch.
        size: images in a batch, of all ranks together. A last batch is left out where a rank would
            have one image: batch normalisation needs two.
        device: where batches are wanted.
        warn: takes a line where the images do not fit.
        copy: whether they may be copied for a GPU, into its memory or pinned.
        classes: K; None where it is not known.
        team: all ranks, of which this has its part of each batch, B images; None: all of it.
        before_batch: called before each batch is drawn, with how many of the epoch were and the
            positions of its samples; it may change the corrections.
    """

    def __init__(
        self,
        source: Pixels,
        corrections: Corrections,
        order: EpochOrder,
        size: int,
        device: torch.device,
        warn: Callable[[str], None],
        *,
        copy: bool = True,
        classes: int | None = None,
        team: Team | None = None,
        before_batch: BeforeBatch | None = None,
    ) -> None:
        self._team = team
        self._source, self._corrections, self._order = source, corrections, order
        self._size, self._device, self._warn = size, device, warn
        self._labels = torch.from_numpy(source.labels).to(device)
        self._classes, self._before_batch = classes, before_batch
        self._last = torch.arange(0)  # positions in the batch that came last
        self._first_epoch = True
        self._copy = copy and free_memory(device) is not None
        self._on_device: Tensor | None = None
        self._pinned: list[Tensor] = []  # in blocks of so many images:
        self._block = max(1, BLOCK // source.pixels[0].nbytes)
        if not self._copy:
            _warn_if_large(source.pixels, warn)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self._order), self._size)
        least = 2 if self._team is None else 2 * self._team.size
        return full + (rest >= least)

    def weight(self, batch: int) -> float:
        """What the mean over this rank's images of a batch counts in the mean over all ranks."""
        if self._team is None:
            return 1.0
        images = min(self._size, len(self._order) - batch * self._size)
        part = self._team.part(images)
        return (part.stop - part.start) * self._team.size / images

    def __iter__(self) -> Iterator[Batch]:
        """Raw pixels uint8 (B, C, S, S) with labels, positions and mask, on the device.

        Of volumes, (B, C, D, S, S).
        """
        if self._copy and not self._first_epoch:
            self._copy = False
            self._copy_images()
        self._first_epoch = False
        order = np.fromiter(self._order, np.int64)
        rows = to_device(torch.from_numpy(order), self._labels)  # once an epoch, not each batch
        for batch in range(len(self)):
            part = self._part(slice(batch * self._size, (batch + 1) * self._size), len(order))
            self._last = torch.from_numpy(order[part])
            if self._before_batch is not None:
                self._before_batch(batch, order[part])
            yield self._batch(order[part], rows[part], self._keep(order[part]))

    def _part(self, batch: slice, images: int) -> slice:
        """What of a batch is this rank's."""
        if self._team is None:
            return batch
        part = self._team.part(min(batch.stop, images) - batch.start)
        return slice(batch.start + part.start, batch.start + part.stop)

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        """n other originals, drawn with `rng`, that are not in the batch that came last.

        None that was taken out of training.
        """
        left_out = torch.cat(
            [self._last, torch.tensor(self._corrections.removed(), dtype=torch.long)]
        )
        rows = other_rows(left_out, n, len(self._source), rng)
        return self._batch(rows.numpy(), to_device(rows, self._labels), None)

    def release(self) -> None:
        """Free the images that were copied; later batches come from the file."""
        self._on_device, self._pinned = None, []

    def _batch(self, positions: NDArray[np.int64], rows: Tensor, keep: Tensor | None) -> Batch:
        images = _channels_first(self._images(positions, rows))
        grids = None
        if keep is not None:
            grids = to_device(torch.from_numpy(self._corrections.grids(positions)), self._labels)
        labels = self._labels.index_select(0, rows)
        return Batch(images, labels, rows, keep, grids, self._classes)

    def _keep(self, positions: NDArray[np.int64]) -> Tensor | None:
        pixels = self._source.pixels
        size = pixels.shape[1:4] if pixels.ndim == 5 else pixels.shape[1:3]
        keep = self._corrections.keep(positions, *size)
        return None if keep is None else to_device(torch.from_numpy(keep), self._labels)

    def _copy_images(self) -> None:
        """Copy the images onto the device, or at least where it reads them by itself."""
        one, free = self._source.pixels[0], free_memory(self._device) or 0
        needed = len(self._source) * one.nbytes
        if needed <= MEMORY_SHARE * free:
            try:
                self._on_device = _copied(self._source, one.shape, self._device)
                return
            except RuntimeError as error:
                if not ran_out(error):
                    raise
            free = free_memory(self._device) or 0  # another process was faster
        self._warn(
            f"The training images need {needed / 2**30:.1f} GiB and the GPU has "
            f"{free / 2**30:.1f} free: they stay in the computer's memory."
        )
        if needed <= HOST_SHARE * host_memory.free():
            with suppress(RuntimeError):  # so much may not be pinned here
                self._pinned = _pinned(self._source, self._block)
                return
        _warn_if_large(self._source.pixels, self._warn)

    def _images(self, positions: NDArray[np.int64], rows: Tensor) -> Tensor:
        if self._on_device is not None:
            return self._on_device.index_select(0, rows)
        if self._pinned:
            return self._from_pinned(positions)
        pixels = torch.from_numpy(np.asarray(self._source.pixels[self._source.rows[positions]]))
        return to_device(pixels, self._labels)

    def _from_pinned(self, positions: NDArray[np.int64]) -> Tensor:
        """The images as the device reads them, without a copy of the batch on the host."""
        one = self._pinned[0][0]
        pixels = torch.empty((len(positions), *one.shape), dtype=one.dtype, device=self._device)
        for b, i in enumerate(positions.tolist()):
            image = self._pinned[i // self._block][i % self._block]
            pixels[b].copy_(image, non_blocking=True)
        return pixels


def _channels_first(pixels: Tensor) -> Tensor:
    return pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1).contiguous()


def _copied(source: Pixels, shape: tuple[int, ...], device: torch.device) -> Tensor:
    copied = torch.empty((len(source), *shape), dtype=torch.uint8, device=device)
    for start in range(0, len(source), CHUNK):  # a large set may not fit into memory besides
        part = slice(start, start + CHUNK)
        copied[part] = torch.from_numpy(source.pixels[source.rows[part]])
    return copied


def _pinned(source: Pixels, block: int) -> list[Tensor]:
    """The images in memory that stays where it is, so that a GPU can read it."""
    return [
        torch.from_numpy(source.pixels[source.rows[start : start + block]]).pin_memory()
        for start in range(0, len(source), block)
    ]


def _warn_if_large(pixels: NDArray[np.uint8], warn: Callable[[str], None]) -> None:
    granted = host_memory.granted()
    if granted is not None and pixels.nbytes > granted:
        warn(
            f"The decoded images take {pixels.nbytes / 2**30:.1f} GiB and this process may have "
            f"{granted / 2**30:.1f} GiB of memory: they are read from the disk as they are drawn."
        )
