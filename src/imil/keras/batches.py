"""Batches of a training set that a round can correct, for `model.fit`."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError
from imil.keras.dataset import CorrectedDataset


class Batches(keras.utils.PyDataset):
    """The samples in batches, in another order in each epoch.

    Each is drawn when it is trained on, so that a correction holds from the next one on.

    Args:
        samples: what rounds correct.
        batch_size: images at a time, at least 1.
        shuffle: False: always in the samples' order.
        seed: of the order. Keras shuffles batches too, by Python's `random`, unless it is told
            `shuffle=False`.
    Raises: SettingsError: batch_size is below 1.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        batch_size: int = 64,
        *,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        if batch_size < 1:
            raise SettingsError(f"batch_size is {batch_size}: give 1 or more")
        self.samples, self.batch_size = samples, batch_size
        self._shuffle, self._rng = shuffle, np.random.default_rng(seed)
        self._order = samples.rows()

    def __len__(self) -> int:
        """The number of batches; it stays the same where samples are taken out of training."""
        return -(-len(self.samples) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """A batch of images (B, h, w, C) and labels (B,)."""
        start = index * self.batch_size
        rows = self._order[start : start + self.batch_size].tolist()
        images, labels = zip(*[self.samples[i] for i in rows], strict=True)
        return np.stack(images), np.array(labels)

    def on_epoch_begin(self) -> None:
        """Called by Keras: the order of this epoch.

        Raises: SettingsError: batches are drawn in several workers.
        """
        if self.workers > 1 or self.use_multiprocessing:
            raise SettingsError(
                f"batches are drawn in {self.workers} workers, ahead of a round, and would show a "
                "correction too late: set workers=1 and use_multiprocessing=False"
            )
        rows = self.samples.rows()
        order = self._rng.permutation(rows) if self._shuffle else rows
        self._order = np.resize(order, len(self.samples))  # as many as ever, some of them twice
        self.samples.epochs_begun += 1
        self.samples.batches = len(self)
