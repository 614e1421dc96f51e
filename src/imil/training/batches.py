"""The training set in memory, drawn in whole batches where the network is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imil.cases import Kept
from imil.pytorch import CorrectedDataset
from imil.training.classifier import EpochOrder
from imil.training.data import Pixels

SHARE = 0.5  # of the device's free memory may hold images; the rest is for the network


class Batches:
    """The training set as it is trained on, in batches of raw pixels and labels.

    Gives what a `DataLoader` over the samples gives, pixel for pixel, without a call for each
    image. The images lie on the device where they fit, otherwise in the file of decoded images,
    which is mapped into memory: the system may drop pages of it and read them again. A row that
    a round corrects is rewritten before the next epoch, in memory alone.

    Args:
        samples: the training set, over `Pixels`.
        order: the positions of an epoch.
        size: images in a batch, B. A last batch of one is left out: batch normalisation needs two.
        device: where batches are wanted.
        say: takes a line where the images do not fit.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        order: EpochOrder,
        size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self.sampler = order  # under this name Lightning finds it, and sets its epoch
        self._samples, self._size, self._device = samples, size, device
        source: Pixels = samples.dataset
        self._corrected: dict[int, Kept] = {}
        self._rows = torch.from_numpy(source.rows)
        self._labels = torch.from_numpy(samples.labels).to(device)
        held = _on_device(source, device, say)
        if held is not None:
            self._rows = torch.arange(len(samples))
        else:
            _warn_if_large(source.pixels, say)
            held = torch.from_numpy(_private(source.pixels))
        self._pixels = held

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.sampler), self._size)
        return full + (rest > 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels uint8 (B, C, S, S) and labels (B,), on the device."""
        self._correct()
        order = torch.tensor(list(self.sampler))
        # once an epoch: a copy for each batch would wait for the device
        rows = self._rows[order].to(self._pixels.device)
        positions = order.to(self._device)
        for batch in range(len(self)):
            part = slice(batch * self._size, (batch + 1) * self._size)
            yield self._draw(rows[part]), self._labels.index_select(0, positions[part])

    def _draw(self, rows: Tensor) -> Tensor:
        pixels = self._pixels.index_select(0, rows)
        if pixels.device != self._device:
            pixels = pixels.pin_memory() if self._device.type == "cuda" else pixels
            pixels = pixels.to(self._device, non_blocking=True)
        return pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1).contiguous()

    def _correct(self) -> None:
        """Rewrite the rows whose correction has changed since they were drawn last."""
        table = self._samples.corrections
        now = {i: kept for i in table.positions() if (kept := table.get(i)) is not None}
        for i in now.keys() | self._corrected.keys():
            if now.get(i) != self._corrected.get(i):
                image = np.array(table.apply(self._samples.dataset[i][0], i))
                self._pixels[self._rows[i]] = torch.from_numpy(image).to(self._pixels.device)
        self._corrected = now


def _on_device(source: Pixels, device: torch.device, say: Callable[[str], None]) -> Tensor | None:
    """The images in the device's own memory; None where it has no room, or none of its own."""
    if device.type != "cuda":
        return None
    needed = len(source) * source.pixels[0].nbytes
    free, _ = torch.cuda.mem_get_info(device)
    if needed <= SHARE * free:
        return torch.from_numpy(source.pixels[source.rows]).to(device)
    say(
        f"The training images need {needed / 2**30:.1f} GiB and the GPU has {free / 2**30:.1f} "
        "free: they stay in the computer's memory."
    )
    return None


def _private(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same pixels, to be written to by this process alone; only what is written is copied."""
    if not isinstance(pixels, np.memmap) or pixels.filename is None:
        return pixels.copy()
    if isinstance(pixels.base, np.ndarray):  # a part of a file: NumPy does not know which
        return pixels.copy()
    return np.memmap(pixels.filename, pixels.dtype, "c", pixels.offset, pixels.shape)


def _warn_if_large(pixels: NDArray[np.uint8], say: Callable[[str], None]) -> None:
    if not hasattr(os, "sysconf"):  # Windows
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if pixels.nbytes > memory:
        say(
            f"The decoded images take {pixels.nbytes / 2**30:.1f} GiB and this computer has "
            f"{memory / 2**30:.1f} GiB of memory: they are read from the disk as they are drawn."
        )
