"""Readings as masks of the images' size: 255 in the marked squares, 0 elsewhere.

Each reading has a file of its relevant squares, and one of its misleading squares where it has
such. `readings.csv` beside them is the exported table with the names of the files.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.atomic_files import atomic_write
from imil.errors import SettingsError
from imil.exports.answers import MISLEADING, RELEVANT, Answer, safe_names
from imil.output_text import write_csv
from imil.reading_export import COLUMNS

TABLE = "readings.csv"
COLUMN = {RELEVANT: "mask", MISLEADING: "misleading_mask"}
SUFFIX = {"png": ".png", "nifti": ".nii.gz"}
SELECTED = 255


def write_masks(given: Sequence[Answer], folder: Path, kind: Literal["png", "nifti"]) -> int:
    """Write the masks and their table; returns the number of masks.

    Args:
        given: of `imil.exports.answers.answers`.
        folder: is made.
        kind: of the files; NIfTI holds uint8 (width, height, 1), with pixels of 1 mm.
    Raises: SettingsError: nibabel is not installed.
    """
    if kind == "nifti":
        check_nibabel()
    stems = safe_names([answer.row.key for answer in given])
    readers = safe_names([answer.row.reader.replace("/", "_") for answer in given])
    header = (*COLUMNS, *COLUMN.values(), "height", "width")
    rows: list[tuple[object, ...]] = []
    written = 0
    for answer, stem, reader in zip(given, stems, readers, strict=True):
        names = dict.fromkeys(COLUMN, "")
        for mark in COLUMN:
            if squares := answer.squares(mark):
                marked = "" if mark == RELEVANT else f"-{mark}"
                name = f"{answer.row.epoch:03}-{answer.row.case:03}-{stem}-{reader}{marked}"
                names[mark] = name + SUFFIX[kind]
                mask = answer.grid.mask(squares, answer.height, answer.width)
                with atomic_write(folder / names[mark]) as half:
                    half.write_bytes((_png if kind == "png" else _nifti)(mask))
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


def _nifti(mask: NDArray[np.bool_]) -> bytes:
    import nibabel

    # x to the right and y down, as in an image file: in NIfTI's axes (right, anterior, superior)
    # both are negative, as a reader of NIfTI and PNG such as ITK has them
    values = mask.T[..., None].astype(np.uint8) * np.uint8(SELECTED)
    make: Any = nibabel.Nifti1Image  # without types
    image = make(values, np.diag([-1.0, -1.0, 1.0, 1.0]))
    return gzip.compress(image.to_bytes(), mtime=0)
