"""Whole volumes as samples: NIfTI files, DICOM series, enhanced DICOM files, and their masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError
from imil.geometry import Geometry
from imil.images import volumes
from imil.images.file_parts import split_part
from imil.images.opened_file import data_errors, opened_file

SAME_PLACE = 0.1  # share of a voxel by which a mask may lie elsewhere than its volume


def load_whole_volume(path: Path) -> Image:
    """The volume, uint8 or uint16 (D, H, W), its slices as `imil.images.volumes` shows them.

    Raises: DataError: it is not a volume, or damaged.
    """
    with _volume_named(path) as name:
        return volumes.load_whole(name)


def load_volume_mask(path: Path) -> NDArray[np.bool_]:
    """Where a mask is not 0, (D, H, W), in the order and direction of its volume's slices.

    Raises: DataError: it is not a volume, or damaged, or all 0.
    """
    with _volume_named(path) as name:
        volume = volumes.load_volume(name)
        selected = volume.values * volume.slope + volume.intercept != 0
        if not selected.any():
            raise DataError("selects nothing: it is 0 everywhere; leave its cell empty")
        return np.ascontiguousarray(selected.transpose(2, 1, 0))


def whole_layout(path: Path) -> volumes.Layout:
    """How the volume lies in the patient. Raises: DataError: as `load_whole_volume`."""
    with _volume_named(path) as name:
        return volumes.volume_layout(name)


def volume_geometry(path: Path) -> Geometry:
    """Size of a slice's pixel and its directions. Raises: DataError: as `load_whole_volume`."""
    with _volume_named(path) as name:
        return volumes.whole_geometry(name)


def volume_mask_error(image: Path, mask: Path) -> str:
    """What is wrong with the mask of a volume; empty if nothing is, or the volume is damaged."""
    try:
        load_volume_mask(mask)
        with _volume_named(mask) as name:
            found = volumes.volume_layout(name)
    except DataError as error:
        return str(error)
    try:
        with _volume_named(image) as name:
            expected = volumes.volume_layout(name)
    except DataError:  # decoding reports it
        return ""
    if found.shape != expected.shape:
        sizes = ["×".join(map(str, reversed(one.shape))) for one in (found, expected)]
        return f"'{mask}' has {sizes[0]} voxels, its volume {sizes[1]}"
    if found.affine is not None and expected.affine is not None:
        apart = np.linalg.norm(found.affine - expected.affine, axis=0)[:3]
        moved = float(np.linalg.norm((found.affine - expected.affine)[:3, 3]))
        limit = SAME_PLACE * min(expected.spacing)
        if (apart * np.array(expected.shape) > limit).any() or moved > limit:
            return f"'{mask}' lies elsewhere in the patient than its volume: resample it"
    return ""


def resize_volume(volume: Image, depth: int, size: int) -> NDArray[np.uint8]:
    """The volume as uint8 (depth, size, size, 1), its aspect ratio not kept.

    Antialiased trilinear. 16 bits become 8 linearly from the volume's own minimum (0) to its
    maximum (255).

    Args:
        volume: uint8 or uint16, (D, H, W).
    """
    low, high = (0, 255) if volume.dtype == np.uint8 else (int(volume.min()), int(volume.max()))
    bilinear = PIL.Image.Resampling.BILINEAR
    planes = [
        np.asarray(PIL.Image.fromarray(plane.astype(np.float32)).resize((size, size), bilinear))
        for plane in volume
    ]
    flat = PIL.Image.fromarray(np.stack(planes).reshape(len(volume), size * size))
    deep = np.asarray(flat.resize((size * size, depth), bilinear))
    scaled = (deep - low) * (255 / max(high - low, 1))
    return np.rint(scaled).clip(0, 255).astype(np.uint8).reshape(depth, size, size, 1)


@contextmanager
def _volume_named(path: Path) -> Iterator[Path]:
    name, part = split_part(path)
    if part is not None:
        raise DataError(
            f"'{path}' names a part of a volume, and whole volumes are trained on: name the file "
            "or the folder alone, or leave out --image-depth"
        )
    if not name.is_dir():
        with opened_file(name):  # says what is wrong with the file
            pass
    with data_errors(name):
        yield name
