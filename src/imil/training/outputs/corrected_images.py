"""The images of a run as training uses them, in files: corrected ones are black where covered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from imil.atomic_files import atomic_write
from imil.cases import Correction, Image
from imil.errors import DataError
from imil.exports.answers import safe_names
from imil.fills import blackout
from imil.output_text import write_csv
from imil.rounds import restore
from imil.square_text import squares_text
from imil.store import Store
from imil.training.samples.prepared_data import Prepared

MANIFEST = "manifest.csv"
COLUMNS = ("image", "key", "label", "class_name", "split", "grid", "squares")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CorrectedImages:
    """The images of a run with the corrections of its applied rounds.

    Args:
        data: of the run.
        corrections: row of the table to correction.
    """

    data: Prepared
    corrections: dict[int, Correction]

    def image(self, row: int, *, full_size: bool) -> Image:
        """An image, black outside the squares that stay.

        Args:
            row: of the table.
            full_size: the original at its own size and depth; otherwise as training sees it,
                before augmentation: uint8 at the training size.
        """
        image = self.data.load_original(row) if full_size else np.array(self.data.pixels[row])
        correction = self.corrections.get(row)
        if correction is None:
            return image
        keep = correction.grid.mask(correction.squares, *image.shape[:2])
        covered: Image = blackout(image, keep)
        return covered


def corrected_images(data: Prepared, store: Store | None, run: str) -> CorrectedImages:
    """The images of a run after its applied rounds.

    Args:
        data: of the run, split as it was.
        store: of the run; None where it has held no round.
        run: its name in the store.
    Raises: DataError: a case that a reader was shown is another image than the file has now.
    """
    samples = data.samples("train")
    rounds = [] if store is None else restore(samples, store, run=run, epoch=2**31)
    rows = data.rows("train").tolist()
    positions = {samples.key(i): i for i in range(len(samples))}
    for round_ in rounds:
        assert store is not None
        for case in store.cases(round_.id):
            if not np.array_equal(case.image, samples.image(positions[case.key])):
                raise DataError(
                    f"the reader was shown another image of '{case.key}' than its file has, as in "
                    "studies that plant a shortcut: such a training set is in no file"
                )
    kept = {rows[i]: samples.corrected(i) for i in range(len(samples))}
    return CorrectedImages(data, {row: one for row, one in kept.items() if one is not None})


def write_corrected_images(
    images: CorrectedImages, folder: Path, *, full_size: bool, progress: Progress
) -> int:
    """Write every image as PNG, and `manifest.csv`; returns how many are corrected.

    Files lie in a folder of their split, and in it in one of their class: `train/TB/a.png`. The
    manifest is a table that `imil train` reads.

    Args:
        folder: is made.
        full_size: as for `CorrectedImages.image`.
        progress: is called with the number of images written so far, and of all.
    Raises: DataError: an image cannot be written as PNG.
    """
    table = images.data.table
    if images.data.are_volumes:
        raise DataError(
            "the images of the run are volumes, which are not written as PNG: export the readings "
            "with --as masks-nifti"
        )
    names = _names(images.data)
    lines: list[Sequence[object]] = [COLUMNS]
    for row, name in enumerate(names):
        with atomic_write(folder / name) as half, half.open("wb") as file:
            _as_picture(images.image(row, full_size=full_size), table.keys[row]).save(file, "png")
        label, correction = int(table.labels[row]), images.corrections.get(row)
        grid = "" if correction is None else "x".join(map(str, correction.grid.shape))
        squares = "" if correction is None else squares_text(correction.squares)
        split, key = images.data.split_of[row], table.keys[row]
        lines.append((name, key, label, table.class_names[label], split, grid, squares))
        progress(row + 1, len(names))
    with atomic_write(folder / MANIFEST) as half:
        with half.open("w", encoding="utf-8", newline="") as text:
            write_csv(text, lines)
    return len(images.corrections)


def _names(data: Prepared) -> list[str]:
    """The file of each image, relative to the folder."""
    classes = safe_names(data.table.class_names)
    stems = safe_names(data.table.keys)
    return [
        f"{split}/{classes[label]}/{stem}.png"
        for split, label, stem in zip(data.split_of, data.table.labels, stems, strict=True)
    ]


def _as_picture(image: Image, key: str) -> Pillow.Image:
    if image.dtype == np.uint16 and image.ndim == 3:
        raise DataError(
            f"'{key}' has 16-bit colours, which are not written as PNG: leave out --full-size"
        )
    return Pillow.fromarray(image)
