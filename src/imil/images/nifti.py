"""NIfTI files, opened within a budget: what a header asks for is known before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.errors import DataError
from imil.images.budget import check_budget

INSTALL = "pip install 'imil[nifti]'"


@contextmanager
def opened_nifti(path: Path) -> Iterator[Any]:
    """A NIfTI file as nibabel's image, of which the header alone is read so far.

    What goes wrong with it within the block becomes a DataError, which does not name the file.

    Raises: DataError: nibabel is not installed, or the file is damaged.
    """
    try:
        import nibabel
    except ImportError:
        raise DataError(f"is a NIfTI file, and nibabel is not installed: {INSTALL}") from None
    try:
        yield nibabel.load(path)
    except DataError:
        raise
    except MemoryError:
        raise DataError("cannot be read: not enough memory") from None
    except Exception as error:  # of a damaged file, any
        text = str(error).replace(str(path), path.name)
        reason = (text.splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"is damaged or not a NIfTI file ({reason})") from None


def load_nifti_mask(path: Path) -> NDArray[np.bool_]:
    """Where a mask of one slice is not 0, (H, W); x grows to the right and y downwards.

    Raises: DataError: it is damaged, too large, or not one slice.
    """
    try:
        with opened_nifti(path) as file:
            shape = tuple(int(size) for size in file.shape)
            if len(shape) < 2 or sum(size != 1 for size in shape) > 2:
                raise DataError(f"has the size {shape}: expected a mask of one slice")
            check_budget(shape[0], shape[1], file.get_data_dtype().itemsize)
            values = np.asanyarray(file.dataobj)
            return np.asarray(values.reshape(shape[:2]).T != 0)
    except DataError as error:
        raise DataError(f"'{path}' {error}") from None
