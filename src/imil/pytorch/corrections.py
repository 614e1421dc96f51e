"""What rounds have changed in the training set: a small table in shared memory.

The table holds squares, not pixels; the fill is computed when a sample is drawn. All workers
of a `DataLoader`, persistent ones too, read the same memory, so a correction takes effect with
the next sample that anyone draws.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import Kept
from imil.errors import DataError
from imil.fills import FILLS, fill
from imil.grid import MOST, Grid

_HEAD = 3  # fill (0: not corrected), rows, columns; then one bit a square
_NAMES = tuple(FILLS)
# modes of Pillow in which an array of the pixels says what they look like, and 0 is black
PLAIN = ("1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")


class Corrections:
    """What is kept of each of n samples; at first, everything.

    Takes 515 bytes a sample, whatever the images' size: room for a 64×64 grid.
    """

    def __init__(self, n: int) -> None:
        self._table = torch.zeros(n, _HEAD + MOST * MOST // 8, dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._table)

    def set(self, i: int, kept: Kept | None) -> None:
        """Keep only this of the i-th sample from now on; None restores it.

        Raises: SquareError: its grid has no such square.
        """
        row = self._table[i].numpy()
        row[0] = 0
        if kept is None:
            return
        squares = kept.grid.check(kept.squares)
        chosen = np.zeros(MOST * MOST, np.uint8)
        chosen[[square - 1 for square in squares]] = 1
        row[1:_HEAD] = kept.grid.rows, kept.grid.cols
        row[_HEAD:] = np.packbits(chosen)
        row[0] = 1 + _NAMES.index(kept.fill)  # last: a worker never sees half a correction

    def get(self, i: int) -> Kept | None:
        """What is kept of the i-th sample, or None if it is as it was."""
        row = self._table[i].numpy()
        if row[0] == 0:
            return None
        grid = Grid(int(row[1]), int(row[2]))
        squares = np.flatnonzero(np.unpackbits(row[_HEAD:])) + 1
        return Kept(grid, tuple(map(int, squares)), _NAMES[row[0] - 1])

    def positions(self) -> list[int]:
        """The samples that are corrected, in order."""
        found: list[int] = self._table[:, 0].nonzero().flatten().tolist()
        return found

    def apply(self, image: Any, i: int) -> Any:
        """The image as the i-th sample is trained on; the image itself if it is uncorrected.

        Args:
            image: raw pixels before random transforms and normalisation: a PIL image, an array
                (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W). The kind is kept, and a PIL
                image's mode, but for palettes: they become RGB.
            i: position of the sample.
        """
        kept = self.get(i)
        return image if kept is None else _covered(image, kept)

    def apply_batch(self, images: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """A batch (B, C, H, W) on any device as it is trained on; `indices` (B,) are positions."""
        changed = {b: k for b, i in enumerate(indices.tolist()) if (k := self.get(i)) is not None}
        if not changed:
            return images
        out = images.clone()
        for b, kept in changed.items():
            out[b] = _covered(images[b], kept)
        return out


@lru_cache(maxsize=256)
def _mask(grid: Grid, squares: tuple[int, ...], height: int, width: int) -> NDArray[np.bool_]:
    return grid.mask(squares, height, width)


def _covered(image: Any, kept: Kept) -> Any:
    cover = fill(kept.fill)
    if isinstance(image, torch.Tensor):
        height, width = image.shape[-2:]
        keep = _mask(kept.grid, kept.squares, height, width)
        rows = image.reshape(-1, height, width).movedim(0, -1)  # channels last, as fills want it
        filled = torch.from_numpy(cover(rows.cpu().numpy(), keep))
        return filled.movedim(-1, 0).reshape(image.shape).to(image.device)
    if not isinstance(image, np.ndarray) and image.mode not in PLAIN:
        return _otherwise_coloured(image, kept)
    array = np.asarray(image)
    if array.ndim not in (2, 3):
        raise DataError(
            f"an image of shape {array.shape} cannot be corrected: give (H, W) or (H, W, C)"
        )
    filled_array = cover(array, _mask(kept.grid, kept.squares, *array.shape[:2]))
    if isinstance(image, np.ndarray):
        return filled_array
    from PIL import Image as pil

    result = pil.fromarray(filled_array)
    return result if result.mode == image.mode else result.convert(image.mode)


def _otherwise_coloured(image: Any, kept: Kept) -> Any:
    """An image in which 0 need not mean black, such as CMYK or one with a palette.

    Filled as RGB; what is kept comes from the image itself, for a conversion there and back may
    change it. A palette need not hold black: its image becomes RGB.
    """
    from PIL import Image as pil

    filled: Any = _covered(image.convert("RGB"), kept)
    if image.mode in ("P", "PA"):
        return filled
    result = filled.convert(image.mode)
    keep = _mask(kept.grid, kept.squares, image.height, image.width)
    result.paste(image, mask=pil.fromarray(keep))
    return result
