"""Phantoms: chest-film-like images drawn by us, to try everything without any patient's film.

Two classes, "normal" and "lesion", with masks of the lungs and of the lesions. A corner letter
can be made to go with the label, as the markers of two hospitals would: a shortcut that a model
may learn in place of the lesions, and that fails in the test split.
"""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imil.errors import DataError, SettingsError
from imil.phantom.film import Depth, Letter, Phantom, draw

__all__ = ["CLASS_NAMES", "LETTERS", "Phantom", "draw", "write_phantoms"]

CLASS_NAMES = ("normal", "lesion")
LETTERS: tuple[Letter, Letter] = ("R", "L")  # what a letter that goes with the label says
COLUMNS = ("image", "label", "class_name", "split", "patient", "lung_mask", "lesion_mask")


def write_phantoms(
    folder: str | Path,
    *,
    n: int = 300,
    size: int = 256,
    seed: int = 0,
    letter: float | None = None,
    test: float = 0.25,
    depth: Depth = 8,
    difficulty: float = 0.5,
) -> Path:
    """The manifest of a new folder of phantoms: the same seed, the same bytes.

    The folder appears when it is complete, or not at all.

    Args:
        folder: where to; must not exist, or be empty.
        n: number of images, one a patient, half of them with lesions.
        size: pixels of a side, 32 to 4096.
        seed: decides everything.
        letter: share of the training images whose letter goes with the label, in [0, 1]; in
            the test split it is one half, so the letter says nothing there. None: no letters.
        test: share of the images of each class in the test split, in [0, 1).
        depth: bits of a pixel, 8 or 16.
        difficulty: of seeing the lesions, 0 large and dense to 1 small and faint.
    Raises:
        SettingsError: a setting is out of range.
        DataError: the folder is not empty, or cannot be written.
    """
    _check(n, size, seed, letter, test, depth, difficulty)
    folder = Path(folder).resolve()
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"'{folder}' is not empty: name a new folder for the phantoms")
        _fill(
            part, _plan(n, test, letter, np.random.default_rng(seed)), seed, size, depth, difficulty
        )
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"phantoms cannot be written to '{folder}': {reason}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder / "manifest.csv"


def _check(
    n: int,
    size: int,
    seed: int,
    letter: float | None,
    test: float,
    depth: int,
    difficulty: float,
) -> None:
    if n < 4:
        raise SettingsError(f"{n} phantoms are too few: give 4 or more")
    if not 32 <= size <= 4096:
        raise SettingsError(f"a phantom of {size} pixels is not possible: give 32 to 4096")
    if seed < 0:
        raise SettingsError(f"seed is {seed}: give 0 or more")
    if depth not in (8, 16):
        raise SettingsError(f"a depth of {depth} bits is not possible: give 8 or 16")
    for name, share in (("letter", letter), ("difficulty", difficulty), ("test", test)):
        if share is not None and not 0 <= share <= 1:
            raise SettingsError(f"{name} is {share}: give a number from 0 to 1")
    if test == 1:
        raise SettingsError("test is 1, which leaves nothing to train on: give less")


class _Row(NamedTuple):
    """What is decided about an image before it is drawn."""

    number: int
    label: int
    split: str
    letter: Letter | None


def _plan(n: int, test: float, letter: float | None, rng: np.random.Generator) -> list[_Row]:
    """The images in mixed order: both classes, splits and letters in exact shares."""
    plan: list[tuple[int, str, Letter | None]] = []
    for label in (0, 1):
        of_class = (n + label) // 2
        for_test = round(test * of_class)
        for split, count, share in (
            ("train", of_class - for_test, letter),
            ("test", for_test, 0.5),
        ):
            agree = round((share or 0) * count)
            own, other = LETTERS[label], LETTERS[1 - label]
            letters = [own] * agree + [other] * (count - agree)
            plan += [(label, split, None if letter is None else text) for text in letters]
    return [_Row(place + 1, *plan[i]) for place, i in enumerate(rng.permutation(n))]


def _fill(
    folder: Path, plan: list[_Row], seed: int, size: int, depth: Depth, difficulty: float
) -> None:
    """Draw and write every image with its masks, then the manifest."""
    for name in ("images", "lung_masks", "lesion_masks"):
        (folder / name).mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in plan:
            rng = np.random.default_rng((seed, row.number))
            drawn = draw(
                row.label, rng, size=size, letter=row.letter, depth=depth, difficulty=difficulty
            )
            table.writerow(_write(folder, row, drawn))


def _write(folder: Path, row: _Row, drawn: Phantom) -> dict[str, str | int]:
    """Write one image and its masks; its line of the manifest."""
    patient = f"P{row.number:05}"
    line: dict[str, str | int] = {
        "image": f"images/{patient}.png",
        "label": row.label,
        "class_name": CLASS_NAMES[row.label],
        "split": row.split,
        "patient": patient,
        "lung_mask": f"lung_masks/{patient}.png",
        "lesion_mask": f"lesion_masks/{patient}.png" if row.label else "",
    }
    Image.fromarray(drawn.image).save(folder / f"images/{patient}.png")
    _save_mask(drawn.lung, folder / f"lung_masks/{patient}.png")
    if row.label:
        _save_mask(drawn.lesion, folder / f"lesion_masks/{patient}.png")
    return line


def _save_mask(mask: NDArray[np.bool_], path: Path) -> None:
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
