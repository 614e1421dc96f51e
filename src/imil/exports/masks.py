"""Readings as masks of the images' size: 255 in the marked squares, 0 elsewhere.

Each reading has a file of its relevant squares, and one of its misleading squares where it has
such. `readings.csv` beside them is the exported table with the names of the files.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.atomic_files import atomic_write
from imil.errors import DataError, SettingsError
from imil.exports.answers import MISLEADING, RELEVANT, Answer, safe_names
from imil.images.whole_volumes import whole_layout
from imil.output_text import write_csv
from imil.reading_export import columns_of

TABLE = "readings.csv"
COLUMN = {RELEVANT: "mask", MISLEADING: "misleading_mask"}
SUFFIX = {"png": ".png", "nifti": ".nii.gz"}
SELECTED = 255
# x to the right and y down, as in an image file: in NIfTI's axes (right, anterior, superior)
# both are negative, as a reader of NIfTI and PNG such as ITK has them
PLANE = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_masks(
    given: Sequence[Answer],
    folder: Path,
    kind: Literal["png", "nifti"],
    files: Mapping[str, Path] | None = None,
) -> int:
    """Write the masks and their table; returns the number of masks.

    Args:
        given: of `imil.exports.answers.answers`.
        folder: is made.
        kind: of the files; NIfTI holds uint8 (width, height, 1), with pixels of 1 mm; of a volume
            (width, height, slices), with the volume's own affine.
        files: key -> the volume's file or folder; needed for volumes.
    Raises: SettingsError: nibabel is not installed. DataError: a volume is not found, or has
        another size than the reader saw.
    """
    if kind == "nifti":
        check_nibabel()
    stems = safe_names([answer.row.key for answer in given])
    readers = safe_names([answer.row.reader.replace("/", "_") for answer in given])
    header = (*columns_of([answer.row for answer in given]), *COLUMN.values(), "height", "width")
    rows: list[tuple[object, ...]] = []
    written = 0
    for answer, stem, reader in zip(given, stems, readers, strict=True):
        names = dict.fromkeys(COLUMN, "")
        affine = PLANE if answer.slices is None else _affine(answer, files or {})
        for mark in COLUMN:
            if squares := answer.squares(mark):
                marked = "" if mark == RELEVANT else f"-{mark}"
                name = f"{answer.row.epoch:03}-{answer.row.case:03}-{stem}-{reader}{marked}"
                names[mark] = name + SUFFIX[kind]
                mask = answer.grid.mask(squares, *answer.size)
                with atomic_write(folder / names[mark]) as half:
                    half.write_bytes(_png(mask) if kind == "png" else _nifti(mask, affine))
                written += 1
        rows.append((*asdict(answer.row).values(), *names.values(), answer.height, answer.width))
    with atomic_write(folder / TABLE) as half, half.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, [header, *rows])
    return written


def check_nibabel() -> None:
    """Raises: SettingsError: nibabel is not installed."""
    try:
        import nibabel  # noqa: F401 - found out before the first file is written
    except ImportError:
        raise SettingsError(
            "masks-nifti needs nibabel, which is not installed: pip install 'imil[nifti]', or "
            "give --as masks-png"
        ) from None


def _png(mask: NDArray[np.bool_]) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(mask.astype(np.uint8) * np.uint8(SELECTED)).save(file, format="png")
    return file.getvalue()


def _affine(answer: Answer, files: Mapping[str, Path]) -> NDArray[np.float64]:
    """From column, row and slice of the volume that the reader saw to the patient."""
    key = answer.row.key
    if key not in files:
        raise DataError(
            f"the volume '{key}' was not found, and a mask without its place would lie elsewhere: "
            "give the run's folder, with its data where they were"
        )
    layout = whole_layout(files[key])
    if layout.shape != (answer.width, answer.height, answer.slices):
        sizes = "×".join(map(str, reversed(layout.shape))), "×".join(map(str, answer.size))
        raise DataError(
            f"'{files[key]}' has {sizes[0]} voxels, and the reader saw {sizes[1]}: give the "
            "volumes of the run"
        )
    if layout.affine is not None:
        return layout.affine
    return np.diag([-layout.spacing[0], -layout.spacing[1], layout.spacing[2], 1.0])


def _nifti(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> bytes:
    import nibabel

    values = (mask.T if mask.ndim == 3 else mask.T[..., None]).astype(np.uint8) * np.uint8(SELECTED)
    make: Any = nibabel.Nifti1Image  # without types
    image = make(values, affine)
    return gzip.compress(image.to_bytes(), mtime=0)
