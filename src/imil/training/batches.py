"""The training set in memory, drawn in whole batches where the network is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imil.cases import Kept
from imil.pytorch import CorrectedDataset
from imil.pytorch.out_of_memory import ran_out
from imil.training import host_memory
from imil.training.augment import there
from imil.training.classifier import EpochOrder
from imil.training.device import free_memory
from imil.training.prepared_data import Pixels

CHUNK = 1024  # images copied to the device together
SHARE = 0.5  # of what the network leaves of the device's memory may hold images
HOST_SHARE = 0.25  # of the computer's; the jobs of a study may each take theirs at a time
BLOCK = 2**26  # bytes; of pinned memory PyTorch takes whole powers of two


class Batches:
    """The training set as it is trained on, in batches of raw pixels and labels.

    Gives what a `DataLoader` over the samples gives, pixel for pixel, without a call for each
    image. In the first epoch the images lie in the file of decoded images, which is mapped into
    memory: the system may drop pages of it and read them again. From the second on they lie on the
    device, where they fit: by then the network has taken what it needs. Where they do not fit, they
    lie in memory that a GPU reads by itself, if the computer has enough. What a round corrects is
    made anew before the next epoch, in memory alone.

    Args:
        samples: the training set, over `Pixels`.
        order: the positions of an epoch.
        size: images in a batch, B. A last batch of one is left out: batch normalisation needs two.
        device: where batches are wanted.
        say: takes a line where the images do not fit.
        hold: whether they may be copied for a GPU, into its memory or pinned.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        order: EpochOrder,
        size: int,
        device: torch.device,
        say: Callable[[str], None],
        *,
        hold: bool = True,
    ) -> None:
        self.sampler = order  # under this name Lightning finds it, and sets its epoch
        self._samples, self._size, self._device = samples, size, device
        self._source: Pixels = samples.dataset
        self._labels = torch.from_numpy(samples.labels).to(device)
        self._corrected: dict[int, Kept] = {}
        self._apart: dict[int, Tensor] = {}  # corrected images, where the device holds none
        self._say, self._begun = say, False
        self._hold = hold and free_memory(device) is not None
        self._held: Tensor | None = None  # on the device
        self._pinned: list[Tensor] = []  # in blocks of so many images:
        self._block = max(1, BLOCK // self._source.pixels[0].nbytes)
        if not self._hold:
            _warn_if_large(self._source.pixels, say)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.sampler), self._size)
        return full + (rest > 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels uint8 (B, C, S, S) and labels (B,), on the device."""
        if self._hold and self._begun:
            self._hold = False
            self._move()
        self._begun = True
        self._correct()
        order = np.fromiter(self.sampler, np.int64)
        drawn = there(torch.from_numpy(order), self._labels)  # once an epoch, not for each batch
        for batch in range(len(self)):
            part = slice(batch * self._size, (batch + 1) * self._size)
            pixels = self._drawn(order[part], drawn[part])
            yield _channels_first(pixels), self._labels.index_select(0, drawn[part])

    def release(self) -> None:
        """Forget the images that were copied: whoever holds on to this does so without them.

        Should it be drawn from again, the images come from the file.
        """
        self._held, self._pinned = None, []
        self._corrected, self._apart = {}, {}

    def _move(self) -> None:
        """Put the images onto the device, or at least where it reads them by itself."""
        one, free = self._source.pixels[0], free_memory(self._device) or 0
        needed = len(self._source) * one.nbytes
        if needed <= SHARE * free:
            try:
                self._held = _copied(self._source, one.shape, self._device)
                self._corrected, self._apart = {}, {}  # to be corrected anew, where they lie now
                return
            except RuntimeError as error:
                if not ran_out(error):
                    raise
            free = free_memory(self._device) or 0  # another process was faster
        self._say(
            f"The training images need {needed / 2**30:.1f} GiB and the GPU has "
            f"{free / 2**30:.1f} free: they stay in the computer's memory."
        )
        if needed <= HOST_SHARE * host_memory.free():
            with suppress(RuntimeError):  # so much may not be pinned here
                self._pinned = _pinned(self._source, self._block)
                return
        _warn_if_large(self._source.pixels, self._say)

    def _drawn(self, positions: NDArray[np.int64], drawn: Tensor) -> Tensor:
        if self._held is not None:
            return self._held.index_select(0, drawn)
        if self._pinned:
            return self._fetched(positions)
        pixels = torch.from_numpy(np.asarray(self._source.pixels[self._source.rows[positions]]))
        for b, i in enumerate(positions.tolist()):
            if i in self._apart:
                pixels[b] = self._apart[i]
        return there(pixels, self._labels)

    def _fetched(self, positions: NDArray[np.int64]) -> Tensor:
        """The images as the device reads them: nobody copies them together before."""
        one = self._pinned[0][0]
        pixels = torch.empty((len(positions), *one.shape), dtype=one.dtype, device=self._device)
        for b, i in enumerate(positions.tolist()):
            apart = self._apart.get(i)
            image = self._pinned[i // self._block][i % self._block] if apart is None else apart
            pixels[b].copy_(image, non_blocking=True)
        return pixels

    def _correct(self) -> None:
        """Make anew the images whose correction has changed since they were drawn last."""
        table = self._samples.corrections
        now = {i: kept for i in table.positions() if (kept := table.get(i)) is not None}
        for i in now.keys() | self._corrected.keys():
            if now.get(i) == self._corrected.get(i):
                continue
            image = torch.from_numpy(np.array(table.apply(self._source[i][0], i)))
            if self._held is not None:
                self._held[i] = image.to(self._device)
            elif i in now:
                self._apart[i] = image.pin_memory() if self._device.type == "cuda" else image
            else:
                del self._apart[i]
        self._corrected = now


def _channels_first(pixels: Tensor) -> Tensor:
    return pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1).contiguous()


def _copied(source: Pixels, shape: tuple[int, ...], device: torch.device) -> Tensor:
    held = torch.empty((len(source), *shape), dtype=torch.uint8, device=device)
    for start in range(0, len(source), CHUNK):  # a large set may not fit into memory besides
        part = slice(start, start + CHUNK)
        held[part] = torch.from_numpy(source.pixels[source.rows[part]])
    return held


def _pinned(source: Pixels, block: int) -> list[Tensor]:
    """The images in memory that stays where it is, so that a GPU can read it."""
    return [
        torch.from_numpy(source.pixels[source.rows[start : start + block]]).pin_memory()
        for start in range(0, len(source), block)
    ]


def _warn_if_large(pixels: NDArray[np.uint8], say: Callable[[str], None]) -> None:
    granted = host_memory.granted()
    if granted is not None and pixels.nbytes > granted:
        say(
            f"The decoded images take {pixels.nbytes / 2**30:.1f} GiB and there are "
            f"{granted / 2**30:.1f} GiB of memory here: they are read from the disk as they are "
            "drawn."
        )
