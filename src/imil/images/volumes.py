"""Volumes as stacks of slices: NIfTI files, folders of a DICOM series, enhanced DICOM files.

A slice is seen as its file has it, with one grey scale for the whole volume. Loaders of a format
say how a volume lies in the patient and give its values; what is here is the same for all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError
from imil.geometry import Geometry, checked_spacing
from imil.images.budget import check_budget
from imil.images.file_parts import FilePart

T = TypeVar("T")
MAX_VOLUME = 1_000_000_000  # bytes as stored; 512 × 512 × 1,900 of 16 bits
KEPT = 2  # volumes in memory: slices of one are decoded one after another
KEPT_LAYOUTS = 32  # a header is looked at several times, and a series has hundreds
CHANNELS = 3  # of neighbours
TOP = 65535
NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True, eq=False)
class Layout:
    """How a volume lies in the patient, as its slices are shown.

    Args:
        shape: columns, rows and slices.
        spacing: millimetres between columns, rows and slices.
        right, bottom: directions in the patient towards these edges of a slice, as in
            `imil.geometry.Geometry`; empty where they are not stated.
        affine: (4, 4), from column, row and slice (from 0) to millimetres towards right, front and
            head (RAS, as NIfTI has it); None where it is not stated.
        source: what the format's loader needs to load the values.
        hounsfield: whether values are stated to be Hounsfield units.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    right: str
    bottom: str
    affine: NDArray[np.float64] | None
    source: Any
    hounsfield: bool = False


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in memory.

    Args:
        values: (columns, rows, slices), as stored; of DICOM after the modality LUT, which are
            Hounsfield units in a CT.
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
    numbers = _numbers(volume_layout(path, part), part)
    volume = load_volume(path, part)
    slices = [shown_slice(volume, number - 1) for number in numbers]
    if len(slices) == 1:
        return slices[0]
    channels: Any = np.stack(slices, axis=2)
    neighbours: Image = channels
    return neighbours


def slice_size(path: Path, part: FilePart) -> tuple[int, int]:
    """Height and width of a slice, from the header alone. Raises: DataError: as `load_slice`."""
    layout = volume_layout(path, part)
    _numbers(layout, part)
    return layout.shape[1], layout.shape[0]


def slice_geometry(path: Path, part: FilePart) -> Geometry:
    """Size of a pixel and directions. Raises: DataError: as `load_slice`."""
    layout = volume_layout(path, part)
    _numbers(layout, part)
    return _geometry(layout, load_volume(path, part) if layout.hounsfield else None)


def load_whole(path: Path) -> Image:
    """A whole volume as its slices are shown, uint8 or uint16 (D, H, W), the first slice first.

    Raises: DataError: as `load_slice`.
    """
    volume = load_volume(path)
    slices: Any = np.stack([shown_slice(volume, k) for k in range(volume.values.shape[2])])
    whole: Image = slices
    return whole


def whole_geometry(path: Path) -> Geometry:
    """Size of a slice's pixel and its directions. Raises: DataError: as `load_slice`."""
    layout = volume_layout(path)
    return _geometry(layout, load_volume(path) if layout.hounsfield else None)


def is_nifti(name: str) -> bool:
    """Whether a file is called as NIfTI volumes are; their content does not say it at its start."""
    return name.lower().endswith(NIFTI)


def volume_layout(path: Path, part: FilePart | None = None) -> Layout:
    """How a volume lies in the patient, from the headers alone.

    Args:
        path: a NIfTI file, a folder of one DICOM series, or an enhanced DICOM file.
        part: what is asked for, for the message where a file is no volume.
    Raises: DataError: it is damaged, too large, or not a volume.
    """
    return _kept(_LAYOUTS, KEPT_LAYOUTS, path, lambda: _read_layout(path, part))


def load_volume(path: Path, part: FilePart | None = None) -> Volume:
    """The values of a volume; those of the last two stay in memory.

    Raises: DataError: as `volume_layout`, or its values cannot be decoded.
    """
    layout = volume_layout(path, part)
    return _kept(_VOLUMES, KEPT, path, lambda: _read_volume(path, layout))


def shown_slice(volume: Volume, index: int) -> Image:
    """A slice as it is shown: uint8 or uint16 (H, W), see `load_slice`; the first is 0."""
    stored = volume.values[:, :, index].T  # rows first
    if _keeps_steps(volume) and stored.dtype == np.uint8:
        return np.ascontiguousarray(stored)
    if _keeps_steps(volume):
        return np.ascontiguousarray((stored.astype(np.int64) - int(volume.low)).astype(np.uint16))
    values = stored.astype(np.float64) * volume.slope + volume.intercept
    share = (values - volume.low) / max(volume.high - volume.low, 1e-30)
    share = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0)
    return np.floor(np.clip(share, 0, 1) * TOP + 0.5).astype(np.uint16)


def check_size(shape: tuple[int, ...], itemsize: int) -> None:
    """Check that a volume fits in the budget.

    Args:
        shape: columns, rows and slices.
        itemsize: bytes of a value.
    Raises: DataError: it does not.
    """
    check_budget(shape[0], shape[1], 2)
    size = int(np.prod(shape, dtype=np.int64)) * itemsize
    if size > MAX_VOLUME:
        raise DataError(
            f"has {size / 1e6:,.0f} MB of values: expected at most {MAX_VOLUME / 1e6:,.0f} MB; cut "
            "out the part that is needed"
        )


def ends(values: NDArray[Any]) -> tuple[float, float]:
    """The lowest and the highest of the values that are numbers; 0 and 0 without any."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _geometry(layout: Layout, volume: Volume | None) -> Geometry:
    """The geometry of a slice, with the units of its values where they are Hounsfield units."""
    across, down, _ = layout.spacing
    zero = None
    if volume is not None and _keeps_steps(volume):
        zero = 0 if volume.values.dtype == np.uint8 else int(volume.low)
    spacing = checked_spacing(down, across)
    return Geometry(spacing, right=layout.right, bottom=layout.bottom, hounsfield=zero)


def _keeps_steps(volume: Volume) -> bool:
    """Whether one step of a shown value is one step of the volume's."""
    whole = volume.values.dtype.kind in "ui" and (volume.slope, volume.intercept) == (1.0, 0.0)
    return whole and volume.high - volume.low <= TOP


def _numbers(layout: Layout, part: FilePart) -> range:
    """The numbers of the slices that are meant, from 1 for the first."""
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


def _read_layout(path: Path, part: FilePart | None) -> Layout:
    if path.is_dir() or not is_nifti(path.name):
        from imil.images.dicom_volume import dicom_layout  # here: pydicom is optional

        return dicom_layout(path, part)
    from imil.images.nifti_volume import nifti_layout

    return nifti_layout(path)


def _read_volume(path: Path, layout: Layout) -> Volume:
    if path.is_dir() or not is_nifti(path.name):
        from imil.images.dicom_volume import load_dicom_volume

        return load_dicom_volume(path, layout)
    from imil.images.nifti_volume import load_nifti_volume

    return load_nifti_volume(path, layout)


State = tuple[Any, ...]


def _state(path: Path) -> State:
    """What changes when the file changes, or a file of the folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    status = [(file.name, file.stat()) for file in files if file.is_file()]
    changed = ((name, one.st_size, one.st_mtime_ns) for name, one in status)
    return (str(path.absolute()), *changed)


def _kept(kept: OrderedDict[State, T], most: int, path: Path, load: Callable[[], T]) -> T:
    """What was loaded of a file before, if it was among the last and has not changed."""
    state = _state(path)
    with _LOCK:  # others wait: two threads would load the same volume
        if state in kept:
            kept.move_to_end(state)
            return kept[state]
        while len(kept) >= most:
            kept.popitem(last=False)
        kept[state] = load()
        return kept[state]


_LAYOUTS: OrderedDict[State, Layout] = OrderedDict()
_VOLUMES: OrderedDict[State, Volume] = OrderedDict()
_LOCK = threading.Lock()
