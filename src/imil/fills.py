"""What takes the place of the squares that nobody selected, in the paper: black.

Other replacements are options of a treatment, see `imil.treatments.replacements`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imil.errors import ShapeError


def blackout(images: Any, keep: Any) -> Any:
    """A copy of the images that is black (0) outside `keep`.

    Applied to raw pixels, before normalisation: 0 must mean black (paper 3.1, step 7).

    Args:
        images: an array (H, W) or (H, W, C), or a tensor (B, C, H, W); its black is 0. A volume is
            an array (D, H, W), with a mask of that shape, or a tensor (B, C, D, H, W).
        keep: bool (H, W) or, for a batch, (B, H, W), of the same kind; True where a pixel stays.
    Raises: ShapeError: height or width differ.

    >>> blackout(np.array([[7, 8]]), np.array([[True, False]])).tolist()
    [[7, 0]]
    """
    is_batch = images.ndim >= 4
    axes = keep.ndim - is_batch
    size = images.shape[2:] if is_batch else images.shape[:axes]
    if size != keep.shape[is_batch:]:
        raise ShapeError(f"image {size} and mask {keep.shape[is_batch:]} differ in height or width")
    if is_batch:
        return images.masked_fill(~keep[:, None], 0)
    return np.where(
        keep if images.ndim == axes else keep[..., None], images, np.zeros((), images.dtype)
    )
