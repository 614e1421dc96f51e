"""One conversion for every kind of raw image: to a tensor (C, H, W), and back to its own kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from imil.cases import Correction
from imil.errors import DataError

# modes of Pillow in which an array of the pixels says what they look like, and 0 is black
PLAIN = ("1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
# few operations of PyTorch know these; all their values fit into:
WIDER = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}

FromTensor = Callable[[torch.Tensor], Any]


def to_tensor(
    image: Any, keep: NDArray[np.bool_] | NDArray[np.float32] | None = None
) -> tuple[torch.Tensor, FromTensor]:
    """The raw image as a tensor (C, H, W), and the way back from one to the image's own kind.

    A volume is a tensor (C, D, H, W).

    Args:
        image: a PIL image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W). A PIL
            image with a palette comes back as RGB; all others keep their mode. A volume is an
            array (D, H, W, C) or a tensor (C, D, H, W).
        keep: (H, W), where the image is to stay as it is, or how far; None for everywhere.
    Raises: DataError: an array of another shape.
    """
    if isinstance(image, torch.Tensor):
        shape = image.shape
        if image.ndim == 4:
            return image, lambda tensor: tensor
        return image.reshape(-1, *shape[-2:]), lambda tensor: tensor.reshape(shape)
    if not isinstance(image, np.ndarray):
        return _from_pil(image, keep)
    if image.ndim not in (2, 3, 4):
        raise DataError(
            f"an image of shape {image.shape} cannot be corrected: give (H, W) or (H, W, C), or "
            "(D, H, W, C) of a volume"
        )
    native = image.dtype.newbyteorder("=")
    array = image[..., None] if image.ndim == 2 else image
    tensor = torch.from_numpy(np.array(array, WIDER.get(native, native))).movedim(-1, 0)

    def back(treated: torch.Tensor) -> NDArray[Any]:
        return treated.movedim(0, -1).numpy().astype(image.dtype).reshape(image.shape)

    return tensor, back


def _from_pil(
    image: Any, keep: NDArray[np.bool_] | NDArray[np.float32] | None
) -> tuple[torch.Tensor, FromTensor]:
    from PIL import Image as pil

    if image.mode not in PLAIN:
        return _from_other_colours(image, keep)
    tensor, to_array = to_tensor(np.asarray(image))

    def back(treated: torch.Tensor) -> Any:
        result = pil.fromarray(to_array(treated))
        return result if result.mode == image.mode else result.convert(image.mode)

    return tensor, back


def _from_other_colours(
    image: Any, keep: NDArray[np.bool_] | NDArray[np.float32] | None
) -> tuple[torch.Tensor, FromTensor]:
    """An image in which 0 need not mean black, such as CMYK or one with a palette, as RGB.

    Pixels that are not changed come back from the image itself: a conversion there and back may
    change them. A palette need not hold black, so its image stays RGB.
    """
    from PIL import Image as pil

    tensor, to_rgb = _from_pil(image.convert("RGB"), keep)

    def back(treated: torch.Tensor) -> Any:
        filled = to_rgb(treated)
        if image.mode in ("P", "PA"):
            return filled
        result = filled.convert(image.mode)
        unchanged = (treated == tensor).all(dim=0).numpy()
        stays = unchanged if keep is None else unchanged & (keep >= 1)
        result.paste(image, mask=pil.fromarray(stays))
        return result

    return tensor, back


def size_of(image: Any) -> tuple[int, ...]:
    """Height and width of a raw image of any kind that `to_tensor` takes; of a volume, D, H, W."""
    if isinstance(image, torch.Tensor):
        return tuple(image.shape[-3:] if image.ndim == 4 else image.shape[-2:])
    if isinstance(image, np.ndarray):
        return tuple(image.shape[:3] if image.ndim == 4 else image.shape[:2])
    return int(image.height), int(image.width)


def within(image: Any, field: Correction) -> Any:
    """The raw image with all but the squares of the field black, of its own kind.

    Apply it to images in use too, where the model was trained with a field of view.

    Args:
        image: a PIL image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W).
        field: what the model sees (`CorrectedDataset.field_of_view`).
    """
    keep = field.grid.mask(field.squares, *size_of(image))
    tensor, back = to_tensor(image, keep)
    return back(tensor.masked_fill(~torch.from_numpy(keep), 0))


def resized(image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The image at the size of the other, bilinearly or trilinearly, in its own dtype.

    Raises: DataError: they differ in channels.
    """
    if image.shape == like.shape:
        return image
    if len(image) != len(like):
        raise DataError(
            f"training images have {len(image)} and {len(like)} channels: a treatment that takes "
            "other images needs the same for all"
        )
    if image.ndim == 4:
        large = functional.interpolate(image[None].float(), size=like.shape[1:], mode="trilinear")[
            0
        ]
    else:
        large = functional.interpolate(
            image[None].float(), size=like.shape[1:], mode="bilinear", antialias=True
        )[0]
    return large.to(like.dtype) if like.is_floating_point() else large.round().to(like.dtype)
