"""A run in TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imil.images.load import load_image
from imil.run_folder import RunFolder
from imil.training.trackers.tracker import markdown


class TensorBoardTracker:
    """Event files in the folder `tensorboard` of the run; a training that goes on adds one.

    Args:
        folder: of the run.
    """

    local, id = True, ""

    def __init__(self, folder: RunFolder) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder.path / "tensorboard"))

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""
        self._writer.add_scalar(name, value, epoch)

    def table(self, name: str, rows: Sequence[Sequence[str]], epoch: int) -> None:
        """A table as Markdown."""
        self._writer.add_text(name, markdown(rows), epoch)

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file."""
        self._writer.add_image(name, np.atleast_3d(load_image(file)), epoch, dataformats="HWC")

    def flush(self) -> None:
        """Write what is not written."""
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Write what is not written."""
        self._writer.close()
