"""Axial slices of NIfTI volumes, as radiologists look at them: from the feet, the front on top.

The rows and columns of a slice are those of the volume, without interpolation: its axes are put
into the order and direction that its affine states. All slices of a volume have one grey scale.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError
from imil.geometry import Geometry, checked_spacing
from imil.images.budget import check_budget
from imil.images.file_parts import FilePart
from imil.images.nifti import opened_nifti

MAX_VOLUME = 1_000_000_000  # bytes as stored; 512 × 512 × 1,900 of 16 bits
KEPT = 2  # volumes in memory: slices of one are decoded one after another
CHANNELS = 3  # of neighbours
TOP = 65535
AXES = ("L", "P", "S")  # of columns, rows and slices: towards left, back and head


@dataclass(frozen=True, eq=False)
class Layout:
    """How a volume lies in the patient.

    Args:
        transform: from the stored axes to `AXES`, as nibabel has it; None: not stated.
        shape: columns, rows and slices.
        spacing: millimetres between columns, rows and slices.
    """

    transform: NDArray[np.float64] | None
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in memory, with its values as stored.

    Args:
        values: (columns, rows, slices).
        slope, intercept: to its values.
        low, high: of all its values that are numbers.
    """

    values: NDArray[Any]
    slope: float
    intercept: float
    low: float
    high: float


def load_slice(path: Path, part: FilePart) -> Image:
    """A slice, uint8 or uint16 (H, W), or three neighbours as channels, (H, W, 3).

    Whole numbers keep their steps, from 0 for the lowest of the volume; others are scaled from the
    volume's lowest to its highest. What is not a number is 0.

    Raises: DataError: the volume is damaged or too large, or has no such slice.
    """
    with opened_nifti(path) as file:
        layout = _layout(file)
        numbers = _numbers(layout, part)
        volume = _volume(path, file, layout)
        slices = [_shown(volume, number - 1) for number in numbers]
    if len(slices) == 1:
        return slices[0]
    channels: Any = np.stack(slices, axis=2)
    neighbours: Image = channels
    return neighbours


def slice_size(path: Path, part: FilePart) -> tuple[int, int]:
    """Height and width of a slice, from the header alone. Raises: DataError: as `load_slice`."""
    with opened_nifti(path) as file:
        layout = _layout(file)
        _numbers(layout, part)
        return layout.shape[1], layout.shape[0]


def slice_geometry(path: Path, part: FilePart) -> Geometry:
    """Size of a pixel and directions. Raises: DataError: as `load_slice`."""
    with opened_nifti(path) as file:
        layout = _layout(file)
        _numbers(layout, part)
        across, down, _ = layout.spacing
        right, bottom = ("", "") if layout.transform is None else AXES[:2]
        return Geometry(checked_spacing(down, across), right=right, bottom=bottom)


def _numbers(layout: Layout, part: FilePart) -> range:
    """The numbers of the slices that are meant, from 1 for the lowest."""
    count = layout.shape[2]
    if part.kind == "slice" and 1 <= part.first <= count:
        return range(part.first, part.first + 1)
    if part.kind == "slices":
        if part.last - part.first != CHANNELS - 1 or not 1 <= part.first <= count - CHANNELS + 1:
            raise DataError(
                f"has no '{part}': expected three neighbours, 'slices=1-3' to "
                f"'slices={count - 2}-{count}'"
            )
        return range(part.first, part.last + 1)
    raise DataError(f"has no '{part}': expected 'slice=1' to 'slice={count}'")


def _layout(file: Any) -> Layout:
    axes = _orientations()
    shape = tuple(int(size) for size in file.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(f"has the size {shape}: expected a volume of three dimensions")
    check_budget(shape[0], shape[1], 2)
    kind = file.get_data_dtype()
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size > MAX_VOLUME:
        raise DataError(
            f"has {size / 1e6:,.0f} MB of values: expected at most {MAX_VOLUME / 1e6:,.0f} MB; cut "
            "out the part that is needed"
        )
    if kind.kind not in "uif":
        raise DataError(f"has values of the type {kind}: expected numbers")
    spacing = tuple(float(one) for one in np.linalg.norm(file.affine[:3, :3], axis=0))
    codes = [int(file.header[name]) for name in ("sform_code", "qform_code") if name in file.header]
    if not any(codes):  # nibabel then makes up an affine
        return Layout(None, shape, spacing)  # type: ignore[arg-type]  # three of each
    transform = axes.ornt_transform(axes.io_orientation(file.affine), axes.axcodes2ornt(AXES))
    if not np.isfinite(transform).all():
        raise DataError("is damaged: its affine gives an axis no direction")
    order = [int(axis) for axis in np.argsort(transform[:, 0])]
    ordered = [(shape[axis], spacing[axis]) for axis in order]
    sizes, steps = zip(*ordered, strict=True)
    return Layout(transform, sizes, steps)


def _orientations() -> Any:
    """nibabel's functions of axes, which have no types."""
    import nibabel.orientations

    return nibabel.orientations


def _volume(path: Path, file: Any, layout: Layout) -> Volume:
    """The volume, from memory if it was among the last ones and has not changed."""
    status = path.stat()
    key = (str(path.absolute()), status.st_size, status.st_mtime_ns)
    with _LOCK:  # others wait: two threads would load the same volume
        if key in _KEPT:
            _KEPT.move_to_end(key)
            return _KEPT[key]
        while len(_KEPT) >= KEPT:
            _KEPT.popitem(last=False)
        _KEPT[key] = _load(file, layout)
        return _KEPT[key]


def _load(file: Any, layout: Layout) -> Volume:
    values = np.asanyarray(file.dataobj.get_unscaled())
    values = values.reshape(values.shape[:3])
    slope, intercept = float(file.dataobj.slope), float(file.dataobj.inter)
    if layout.transform is not None:
        values = _orientations().apply_orientation(values, layout.transform)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    ends = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    low, high = sorted(end * slope + intercept for end in ends)
    return Volume(values, slope, intercept, low, high)


def _shown(volume: Volume, index: int) -> Image:
    stored = volume.values[:, :, index].T  # rows first
    whole = stored.dtype.kind in "ui" and (volume.slope, volume.intercept) == (1.0, 0.0)
    if whole and stored.dtype == np.uint8:
        return np.ascontiguousarray(stored)
    if whole and volume.high - volume.low <= TOP:
        return np.ascontiguousarray((stored.astype(np.int64) - int(volume.low)).astype(np.uint16))
    values = stored.astype(np.float64) * volume.slope + volume.intercept
    share = (values - volume.low) / max(volume.high - volume.low, 1e-30)
    share = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0)
    return np.floor(np.clip(share, 0, 1) * TOP + 0.5).astype(np.uint16)


_KEPT: OrderedDict[tuple[str, int, int], Volume] = OrderedDict()
_LOCK = threading.Lock()
