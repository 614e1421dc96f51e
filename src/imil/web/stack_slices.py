"""Slices of volumes for the page: cut from what the store has, one slice a request.

The last volumes stay in memory, so that scrolling does not decode one for every slice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.errors import NotFound
from imil.grid import Grid
from imil.images.resize import resize_to_square
from imil.store.room_queries import Packed
from imil.store.row_mapping import deflate, inflate

MOST_BYTES = 512_000_000  # of all volumes in memory; one at least is kept


class Stacks:
    """Volumes and heat-maps of volumes in memory, inflated."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], Packed | None]) -> NDArray[Any]:
        """The array (D, H, W) of that key. Raises: NotFound: there is none, or it is no volume."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                packed = load()
                if packed is None or len(packed.shape) != 3 or packed.shape[2] == 3:
                    raise NotFound("the store has no such volume")
                found = inflate(packed.data, packed.dtype, packed.shape)
                self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > (
                MOST_BYTES
            ):
                self._kept.popitem(last=False)
            return found

    def slice(self, key: Hashable, load: Callable[[], Packed | None], number: int) -> Packed:
        """A slice, (H, W), deflated. Raises: NotFound: as `get`, or there is no such slice.

        Args:
            number: from 1.
        """
        plane = one_slice(self.get(key, load), number)
        return Packed(deflate(plane), plane.dtype.name, plane.shape)


def one_slice(volume: NDArray[Any], number: int) -> NDArray[Any]:
    """A slice of a volume (D, H, W). Raises: NotFound: there is none of that number, from 1."""
    if not 1 <= number <= len(volume):
        raise NotFound(f"the volume has no slice {number}: it has {len(volume)}")
    plane: NDArray[Any] = volume[number - 1]
    return plane


def slice_energy(heat: NDArray[Any]) -> list[float]:
    """The share of a heat-map's energy in each of its slices; all 0 where it is empty."""
    by_slice = heat.sum(axis=(1, 2), dtype=np.float64)
    total = float(by_slice.sum())
    return [float(one) / total if total > 0 else 0.0 for one in by_slice]


def nearest_slice(number: int, slices: int, of: int) -> int:
    """Which of `slices` a heat-map has lies at slice `number` of a volume of `of`; from 1."""
    return min((2 * number - 1) * slices // (2 * of), slices - 1) + 1


def model_view_of_slice(volume: NDArray[Any], number: int, size: int) -> NDArray[np.uint8]:
    """A slice as the model gets it, uint8 (size, size), on the grey scale of the whole volume."""
    plane = one_slice(volume, number).astype(np.float32)
    if volume.dtype != np.uint8:
        low, high = int(volume.min()), int(volume.max())
        plane = (plane - low) * (255 / max(high - low, 1))
    return resize_to_square(np.rint(plane).clip(0, 255).astype(np.uint8), size, 1)


def squares_at(grid: Grid, squares: list[int], number: int, slices: int) -> list[int]:
    """Those of a grid's squares that lie in the slab of a slice, numbered in its plane from 1."""
    size = grid.plane.squares
    first = grid.slab(number - 1, slices) * size
    return [n - first for n in squares if first < n <= first + size]
