"""NIfTI volumes as radiologists look at them: axial, from the feet, the front on top.

The rows and columns of a slice are those of the volume, without interpolation: its axes are put
into the order and direction that its affine states.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imil.errors import DataError
from imil.images.nifti import opened_nifti
from imil.images.volumes import Layout, Volume, check_size, ends

AXES = ("L", "P", "S")  # of columns, rows and slices: towards left, back and head


def nifti_layout(path: Path) -> Layout:
    """How the volume lies in the patient. Raises: DataError: it is damaged, or not a volume."""
    with opened_nifti(path) as file:
        return _layout(file)


def _layout(file: Any) -> Layout:
    axes = _orientations()
    shape = tuple(int(size) for size in file.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(f"has the size {shape}: expected a volume of three dimensions")
    kind = file.get_data_dtype()
    check_size(shape, kind.itemsize)
    if kind.kind not in "uif":
        raise DataError(f"has values of the type {kind}: expected numbers")
    spacing = tuple(float(one) for one in np.linalg.norm(file.affine[:3, :3], axis=0))
    codes = [int(file.header[name]) for name in ("sform_code", "qform_code") if name in file.header]
    if not any(codes):  # nibabel then makes up an affine
        return Layout(shape, spacing, "", "", None, None)  # type: ignore[arg-type]  # three of each
    transform = axes.ornt_transform(axes.io_orientation(file.affine), axes.axcodes2ornt(AXES))
    if not np.isfinite(transform).all():
        raise DataError("is damaged: its affine gives an axis no direction")
    order = [int(axis) for axis in np.argsort(transform[:, 0])]
    ordered = [(shape[axis], spacing[axis]) for axis in order]
    sizes, steps = zip(*ordered, strict=True)
    affine = np.asarray(file.affine @ axes.inv_ornt_aff(transform, shape), np.float64)
    return Layout(sizes, steps, *AXES[:2], affine, transform)


def load_nifti_volume(path: Path, layout: Layout) -> Volume:
    """The values of the volume that has the layout. Raises: DataError: it is damaged."""
    with opened_nifti(path) as file:
        values = np.asanyarray(file.dataobj.get_unscaled())
        values = values.reshape(values.shape[:3])
        slope, intercept = float(file.dataobj.slope), float(file.dataobj.inter)
        if layout.source is not None:
            values = _orientations().apply_orientation(values, layout.source)
        low, high = sorted(end * slope + intercept for end in ends(values))
        return Volume(values, slope, intercept, low, high)


def _orientations() -> Any:
    """nibabel's functions of axes, which have no types."""
    import nibabel.orientations

    return nibabel.orientations
