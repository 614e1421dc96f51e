"""Volumes of DICOM: a folder of the files of one series, or an enhanced file of several frames.

Slices are ordered by where they lie in the patient, never by name or InstanceNumber: along the
normal of their plane, from the feet, from the right or from the front. They are shown as stored,
not turned. Their values are those after the modality LUT; windows are left to who looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.errors import DataError
from imil.geometry import checked_spacing
from imil.images.dicom import load_values
from imil.images.dicom_file import errors_without_text, read_tags
from imil.images.dicom_geometry import geometry_of
from imil.images.dicom_groups import GROUPS, of_frame
from imil.images.file_parts import FilePart
from imil.images.volumes import Layout, Volume, check_size, ends, volume_layout

PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
TAGS = [
    *("SeriesInstanceUID", "Rows", "Columns", "NumberOfFrames", "Modality", "RescaleType"),
    *(*PLACE, *GROUPS),
]
MARK = b"DICM"  # after a preamble of 128 bytes
NOT_IMAGES = {"dicomdir", "thumbs.db", "desktop.ini"}  # beside the files of a series
MOST_FILES = 5000
STEPS = 0.1  # share by which steps between slices may differ: positions are rounded
COSINES = 1e-3  # by which orientations may differ: a slice 500 mm wide then moves 0.5 mm
RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's axes grow towards left, back and head


@dataclass(frozen=True, eq=False)
class Slice:
    """Where a slice lies.

    Args:
        name: for messages.
        file, frame: its file, and its frame there (from 0).
        position: of its first pixel, in millimetres towards left, back and head.
        axes: (2, 3), the directions of its rows and of its columns, as unit vectors.
        spacing: millimetres between rows, and between columns.
        size: rows and columns.
        hounsfield: whether its values are stated to be Hounsfield units.
    """

    name: str
    file: Path
    frame: int
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    hounsfield: bool


def series_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, in which there is nothing else but a DICOMDIR and hidden files.

    Raises: DataError: something else is there, or too much, or nothing at all.
    """
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    files = [path for path in entries if path.name.lower() not in NOT_IMAGES]
    if len(files) > MOST_FILES:
        raise DataError(f"has {len(files)} entries: expected at most {MOST_FILES} DICOM files")
    for path in files:
        if not path.is_file() or not _is_dicom(path):
            raise DataError(
                f"has '{path.name}', which is not a DICOM file: expected the files of one series "
                "alone; move it elsewhere"
            )
    if not files:
        raise DataError("is a folder without a DICOM file: expected the files of one series")
    return files


def dicom_layout(path: Path, part: FilePart | None) -> Layout:
    """How the volume lies in the patient; its source are its slices in order.

    Raises: DataError: files are of several series, sizes or orientations, slices are missing or
        twice in a place, or the place of one is not stated.
    """
    slices = _series(path) if path.is_dir() else _frames(path, part)
    first = slices[0]
    for one in slices[1:]:
        _check_alike(first, one)
    ordered = _ordered(slices)
    step = _step(ordered)
    rows, columns = first.size
    down, across = first.spacing
    directions = _directions(first)
    return Layout(
        (columns, rows, len(ordered)),
        (across, down, float(np.linalg.norm(step))),
        *directions,
        _affine(ordered[0], step),
        tuple(ordered),
        all(one.hounsfield for one in ordered),
    )


def load_dicom_volume(path: Path, layout: Layout) -> Volume:
    """The values of the slices of a layout. Raises: DataError: one cannot be decoded."""
    slices: Sequence[Slice] = layout.source
    if path.is_dir():
        made = [_values(one) for one in slices]
        values = np.stack([value for value, _ in made])
        padding = np.stack([empty for _, empty in made])
    else:
        values, padding = _values_of(path)
        order = [one.frame for one in slices]
        values, padding = values[order], padding[order]
    values = _smallest(values) if values.dtype.kind == "i" else values.astype(np.float32)
    content = values[~padding] if padding.any() else values
    low, high = ends(content)
    values[padding] = low  # padding is black
    return Volume(values.transpose(2, 1, 0), 1.0, 0.0, low, high)


def slice_file(path: Path, part: FilePart) -> tuple[Path, FilePart | None]:
    """The file of a slice, and its frame there; of neighbours as channels, of the middle one.

    Raises: DataError: as `dicom_layout`, or there is no such slice.
    """
    slices: Sequence[Slice] = volume_layout(path, part).source
    number = (part.first + part.last) // 2
    if not 1 <= number <= len(slices):
        raise DataError(f"has no '{part}': expected 'slice=1' to 'slice={len(slices)}'")
    one = slices[number - 1]
    frame = one.frame + 1
    return one.file, None if path.is_dir() else FilePart("frame", frame, frame)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == MARK


def _series(folder: Path) -> list[Slice]:
    slices, series = [], ""
    for path in series_files(folder):
        with path.open("rb") as file:
            dataset = read_tags(file, TAGS)
        with errors_without_text():
            uid = str(dataset.get("SeriesInstanceUID") or "")
            if int(dataset.get("NumberOfFrames") or 1) != 1:
                raise DataError(
                    f"has '{path.name}' of several frames: name that file alone, with a slice"
                )
            series = series or uid
            if uid != series:
                raise DataError(
                    f"has files of several series, '{path.name}' the first of another: put each "
                    "series in a folder of its own"
                )
            slices.append(_slice(dataset, path, 0, f"'{path.name}'"))
    rows, columns = slices[0].size
    check_size((columns, rows, len(slices)), 2)
    return slices


def _frames(path: Path, part: FilePart | None) -> list[Slice]:
    if not _is_dicom(path):
        what = "is not a volume" if part is None else f"has no '{part}'"
        raise DataError(
            f"{what}: NIfTI files, DICOM series and DICOM files of several frames have slices; "
            "name the file alone"
        )
    with path.open("rb") as file:
        dataset = read_tags(file, TAGS)
    with errors_without_text():
        frames = int(dataset.get("NumberOfFrames") or 1)
        groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
        if frames < 2 or len(groups) != frames:
            names = f"'frame=1' to 'frame={frames}'" if frames > 1 else "its name alone"
            what = "is not a volume" if part is None else f"has no '{part}'"
            raise DataError(f"{what}, for it does not say where slices lie: expected {names}")
        check_size((int(dataset.Columns or 0), int(dataset.Rows or 0), frames), 2)
        return [_slice(of_frame(dataset, i), path, i, f"frame {i + 1}") for i in range(frames)]


def _slice(dataset: Any, path: Path, frame: int, name: str) -> Slice:
    """Raises: DataError: where it lies is not stated, or cannot be."""
    for tag in ("Rows", "Columns", *PLACE):
        if dataset.get(tag) is None:
            raise DataError(f"has {name} without {tag}: expected slices whose place is stated")
    position = np.array([float(one) for one in dataset.ImagePositionPatient])
    axes = np.array([float(one) for one in dataset.ImageOrientationPatient]).reshape(-1, 3)
    spacing = checked_spacing(*dataset.PixelSpacing)
    unit = axes.shape == (2, 3) and np.allclose(axes @ axes.T, np.eye(2), atol=1e-2)
    if position.shape != (3,) or not np.isfinite(position).all() or not unit or spacing is None:
        raise DataError(f"is damaged: the place of {name} is no place")
    size = int(dataset.Rows), int(dataset.Columns)
    # PS3.3 C.8.2.1.1.2: those of a CT, unless it says otherwise
    rescaled = str(dataset.get("RescaleType") or "HU").strip().upper()
    in_hounsfield = dataset.get("Modality") == "CT" and rescaled == "HU"
    return Slice(name, path, frame, position, axes, spacing, size, in_hounsfield)


def _check_alike(first: Slice, one: Slice) -> None:
    differs = ""
    if one.size != first.size:
        sizes = [f"{rows} × {columns}" for rows, columns in (first.size, one.size)]
        differs = f"sizes ({sizes[0]} pixels in {first.name}, {sizes[1]} in {one.name})"
    elif not np.allclose(one.axes, first.axes, atol=COSINES):
        differs = f"orientations ({first.name} and {one.name})"
    elif not np.allclose(one.spacing, first.spacing, rtol=COSINES):
        differs = f"pixel spacings ({first.name} and {one.name})"
    if differs:
        raise DataError(
            f"has slices of different {differs}: expected one stack; put the others elsewhere"
        )


def _normal(one: Slice) -> NDArray[np.float64]:
    """The normal of the plane towards the head, the left or the back, which is closest."""
    normal = np.cross(*one.axes)
    towards: NDArray[np.float64] = normal * np.sign(normal[np.argmax(np.abs(normal))])
    return towards


def _ordered(slices: Sequence[Slice]) -> list[Slice]:
    """Along the normal. Raises: DataError: a place is empty, or has two slices."""
    normal = _normal(slices[0])
    ordered = sorted(slices, key=lambda one: float(one.position @ normal))
    if len(ordered) < 2:
        raise DataError("has one slice: expected a series of several; name the file alone")
    heights = np.array([one.position @ normal for one in ordered])
    steps = np.diff(heights)
    usual = float(np.median(steps))
    for (one, other), step in zip(pairwise(ordered), steps.tolist(), strict=True):
        if step <= STEPS * usual or step < 1e-3:
            raise DataError(
                f"has two slices in one place, {one.name} and {other.name}: expected one phase or "
                "echo; remove the others"
            )
        if abs(step - usual) > STEPS * usual:
            raise DataError(
                f"has a gap: {one.name} and {other.name} are {step:.3g} mm apart, others "
                f"{usual:.3g} mm; add the missing slices"
            )
    return ordered


def _step(ordered: Sequence[Slice]) -> NDArray[np.float64]:
    """From one slice to the next, in millimetres; not along the normal where a gantry was tilted.

    Raises: DataError: slices are shifted against each other by more than a pixel.
    """
    first, count = ordered[0].position, len(ordered)
    step: NDArray[np.float64] = (ordered[-1].position - first) / (count - 1)
    for i, one in enumerate(ordered):
        shift = (one.position - first - i * step) @ one.axes.T  # along its rows and columns
        if (np.abs(shift) > one.spacing[::-1]).any():
            raise DataError(
                f"has {one.name}, which is shifted against the other slices: expected one stack"
            )
    return step


def _affine(first: Slice, step: NDArray[np.float64]) -> NDArray[np.float64]:
    """From column, row and slice to millimetres towards right, front and head."""
    down, across = first.spacing
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([first.axes[0] * across, first.axes[1] * down, step])
    affine[:3, 3] = first.position
    affine[:3] *= RAS[:, None]
    return affine


def _directions(first: Slice) -> tuple[str, str]:
    """Towards the right and the bottom edge of a slice."""
    geometry = geometry_of({"ImageOrientationPatient": first.axes.ravel().tolist()})
    return geometry.right, geometry.bottom


def _values(one: Slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Of a file of a folder; what is wrong with it names it, for the folder is named before."""
    try:
        values, padding = _values_of(one.file)
    except DataError as error:
        raise DataError(f"has {one.name}, which {error}") from None
    return values[0], padding[0]


def _values_of(path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    with path.open("rb") as file:
        return load_values(file)


def _smallest(values: NDArray[Any]) -> NDArray[Any]:
    """In 16 bits where they fit, as nearly all do."""
    low, high = int(values.min()), int(values.max())
    limits = np.iinfo(np.int16)
    return values.astype(np.int16) if limits.min <= low and high <= limits.max else values
