"""A data set of phantoms: synthetic chest films, to try everything without patient data.

Two classes, "normal" and "lesion", with masks of the lungs and of the lesions. A corner letter
can be correlated with the label, as the markers of two hospitals would be: a shortcut that a model
may learn instead of the lesions, and that fails in the test split.
"""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imil.errors import DataError, SettingsError
from imil.phantom.film import Depth, Letter, Phantom, draw

__all__ = [
    "CLASS_NAMES",
    "LETTERS",
    "Phantom",
    "Variant",
    "draw",
    "draw_test_variants",
    "write_phantoms",
]

CLASS_NAMES = ("normal", "lesion")
LETTERS: tuple[Letter, Letter] = ("R", "L")  # the letter that matches each label
Variant = Literal["for", "against", "without"]
SEED_FILE = "seed.txt"
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
    """Write a folder of phantoms; returns its manifest. The same seed gives the same bytes.

    The folder is written completely or not at all.

    Args:
        folder: must be new or empty.
        n: number of images, one per patient, half of them with lesions.
        size: pixels of a side, 32 to 4096.
        seed: of everything.
        letter: share of the training images whose letter matches the label, in [0, 1]; in the
            test split it is one half, so the letter carries no information. None: no letters.
        test: share of the images of each class in the test split, in [0, 1).
        depth: bits of a pixel, 8 or 16.
        difficulty: of seeing the lesions, 0 (large and dense) to 1 (small and faint).
    Raises:
        SettingsError: a setting is out of range.
        DataError: the folder is not empty, or cannot be written.
    """
    _check(n, size, seed, letter, test, depth, difficulty)
    folder = Path(folder).resolve()
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"'{folder}' is not empty: give a new folder for the phantoms")
        plan = _plan(n, test, letter, np.random.default_rng(seed))
        _draw_images(unfinished, plan, seed, size, depth, difficulty)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"phantoms cannot be written to '{folder}': {reason}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder / "manifest.csv"


def draw_test_variants(
    manifest: Path, variant: Variant, *, size: int, difficulty: float
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The test images drawn again, with another letter and otherwise equal; and their labels.

    So a model can be judged on the same image with the letter for and against its label.

    Args:
        manifest: as `write_phantoms` returned it, from 8-bit images of this size and difficulty.
        variant: the letter matches the label (`for`), is the other one (`against`), or is left out
            (`without`).
    Returns: uint8 (N, size, size) and int (N,).
    """
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    labels = np.array([int(row["label"]) for row in rows], np.int64)
    letters: dict[Variant, list[Letter | None]] = {
        "for": [LETTERS[label] for label in labels],
        "against": [LETTERS[1 - label] for label in labels],
        "without": [None] * len(rows),
    }
    seed = int((manifest.parent / SEED_FILE).read_text())
    images = [
        draw(
            int(label),
            np.random.default_rng((seed, int(row["patient"][1:]))),
            size=size,
            letter=letter,
            difficulty=difficulty,
        ).image
        for row, label, letter in zip(rows, labels, letters[variant], strict=True)
    ]
    return np.stack(images).astype(np.uint8), labels


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
        raise SettingsError(f"size is {size} pixels: give 32 to 4096")
    if seed < 0:
        raise SettingsError(f"seed is {seed}: give 0 or more")
    if depth not in (8, 16):
        raise SettingsError(f"depth is {depth} bits: give 8 or 16")
    for name, share in (("letter", letter), ("difficulty", difficulty), ("test", test)):
        if share is not None and not 0 <= share <= 1:
            raise SettingsError(f"{name} is {share}: give a number from 0 to 1")
    if test == 1:
        raise SettingsError("test is 1, which leaves nothing to train on: give less")


class _Row(NamedTuple):
    """An image to be drawn."""

    number: int
    label: int
    split: str
    letter: Letter | None


def _plan(n: int, test: float, letter: float | None, rng: np.random.Generator) -> list[_Row]:
    """The images in random order: classes, splits and letters in exact shares."""
    plan: list[tuple[int, str, Letter | None]] = []
    for label in (0, 1):
        of_class = (n + label) // 2
        for_test = round(test * of_class)
        for split, count, share in (
            ("train", of_class - for_test, letter),
            ("test", for_test, 0.5),
        ):
            matching = round((share or 0) * count)
            match, other = LETTERS[label], LETTERS[1 - label]
            letters = [match] * matching + [other] * (count - matching)
            plan += [(label, split, None if letter is None else text) for text in letters]
    return [_Row(number, *plan[i]) for number, i in enumerate(rng.permutation(n), start=1)]


def _draw_images(
    folder: Path, plan: list[_Row], seed: int, size: int, depth: Depth, difficulty: float
) -> None:
    """Draw and write every image with its masks, then the manifest."""
    for name in ("images", "lung_masks", "lesion_masks"):
        (folder / name).mkdir(parents=True)
    (folder / SEED_FILE).write_text(f"{seed}\n", encoding="utf-8")
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in plan:
            rng = np.random.default_rng((seed, row.number))
            phantom = draw(
                row.label, rng, size=size, letter=row.letter, depth=depth, difficulty=difficulty
            )
            table.writerow(_write_image(folder, row, phantom))


def _write_image(folder: Path, row: _Row, phantom: Phantom) -> dict[str, str | int]:
    """Write one image and its masks; returns its row of the manifest."""
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
    Image.fromarray(phantom.image).save(folder / f"images/{patient}.png")
    _save_mask(phantom.lung, folder / f"lung_masks/{patient}.png")
    if row.label:
        _save_mask(phantom.lesion, folder / f"lesion_masks/{patient}.png")
    return line


def _save_mask(mask: NDArray[np.bool_], path: Path) -> None:
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
