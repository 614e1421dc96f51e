"""The split into train, val and test: given by the table, or drawn by patient and class."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.data.table import Table
from imil.errors import DataError, SettingsError
from imil.output_text import csv_value, write_csv

SPLITS = ("train", "val", "test")
HEADER = ("key", "label", "split")
# columns that older runs, and the splits of a study, do not have
CONTENT, MASKS = "content", "masks"
IN_ERROR = 3  # images that an error names


def split(table: Table, *, test: float = 0.2, val: float = 0.0, seed: int) -> tuple[str, ...]:
    """`train`, `val` or `test` for each image; as in the table, if it has splits.

    Otherwise random: no patient in two splits, each class in the same proportion, and of N
    images N × share in all (half up), as nearly as whole patients allow. A class that has
    enough images is in every split. The same keys, patients and seed give the same split,
    whatever the order of the rows.

    Args:
        test: share of the images, in (0, 1) (paper 3.3.1: 132 of 662).
        val: share of the images, in [0, 1).
        seed: 0 or more.
    Raises:
        SettingsError: the shares leave nothing to train on.
        DataError: a class is missing from a split, or a patient is in two.
    """
    if table.splits is not None:
        _check_splits(table, table.splits)
        return table.splits
    if not (test > 0 and val >= 0 and test + val < 1):
        raise SettingsError(
            f"shares of {test:g} for testing and {val:g} for validation are out of range: "
            "give more than 0 for testing, and less than 1 in total"
        )
    drawn = _draw(table, {"test": test, "val": val}, np.random.default_rng(seed))
    _check_splits(table, drawn)
    return drawn


def draw_share(table: Table, share: float, seed: int | Sequence[int]) -> NDArray[np.bool_]:
    """Which images are in a random share, bool (N,).

    Each class is drawn in the same proportion, at least one image of it; the images of a patient
    are drawn together, so that the number of images may be a little off.

    Args:
        share: of the images, in (0, 1).
        seed: the same keys, patients and seed give the same share.
    """
    return np.array(_draw(table, {"share": share}, np.random.default_rng(seed))) == "share"


def write_splits(
    path: Path,
    table: Table,
    splits: Sequence[str],
    contents: Sequence[str] = (),
    masks: Sequence[str] = (),
) -> None:
    """Write key, label and split of each image as CSV, completely or not at all.

    Args:
        path: of the file.
        table: of N images.
        splits: the split of each.
        contents: N hashes of the files' contents, written too; or none.
        masks: N hashes of the masks' contents, written too where there are masks; or none.
    """
    columns: dict[str, Sequence[object]] = dict(
        zip(HEADER, (table.keys, table.labels.tolist(), splits), strict=True)
    )
    if contents:
        columns[CONTENT] = contents
    if any(masks):
        columns[MASKS] = masks
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, [tuple(columns), *zip(*columns.values(), strict=True)])
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}") from error


def read_splits(path: Path, table: Table) -> tuple[str, ...]:
    """The split of each image of the table, from the file of `write_splits`.

    Raises: DataError: the file is damaged, or the table's images or labels have changed.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            written = {csv_value(row["key"]): (row["label"], row["split"]) for row in rows}
        for _, name in written.values():
            SPLITS.index(name)
    except (OSError, ValueError, csv.Error, KeyError) as error:
        raise DataError(f"'{path}' is missing or damaged: it lists each image's split") from error
    now = dict(zip(table.keys, map(str, table.labels.tolist()), strict=True))
    changed = [
        key
        for key in {**now, **written}
        if key not in written or key not in now or written[key][0] != now[key]
    ]
    if changed:
        raise DataError(
            f"the data has changed since '{path}' was written: {len(changed)} images were "
            f"added, removed or relabelled, '{changed[0]}' the first; restore them, or train again"
        )
    return tuple(written[key][1] for key in table.keys)


def check_contents(
    path: Path, table: Table, contents: Sequence[str], masks: Sequence[str] = ()
) -> None:
    """Check that the images and masks are those of the run, by the content of their files.

    Args:
        path: the file of `write_splits`, which `read_splits` has accepted.
        table: of N images.
        contents: N hashes of the files' contents.
        masks: N hashes of the masks' contents, "" where an image has none; or none.
    Raises: DataError: files have changed: how many, and the first three.
    """
    with path.open(newline="", encoding="utf-8") as file:
        written = {csv_value(row["key"]): row for row in csv.DictReader(file)}
    for column, now, what in (CONTENT, contents, "images"), (MASKS, masks, "images' masks"):
        of = {key: row.get(column) for key, row in written.items()}
        changed = [
            f"'{key}'"
            for key, content in zip(table.keys, now, strict=bool(now))
            # a run of a version that did not record it, and one without masks, have no column
            if of.get(key) is not None and of[key] != content
        ]
        if changed:
            more = ", …" if len(changed) > IN_ERROR else ""
            raise DataError(
                f"{len(changed)} of {len(table)} {what} have changed since '{path}' was written "
                f"({', '.join(changed[:IN_ERROR])}{more}): restore the files, or train again with "
                "another --out"
            )


def find_patient_leak(table: Table, splits: Sequence[str]) -> tuple[str, str, str] | None:
    """The first patient who is in two splits, with the two; None if there is none.

    Args:
        table: of N images, with or without patients.
        splits: the split of each, N.
    """
    split_of: dict[str, str] = {}
    for patient, name in zip(table.patients or (), splits, strict=False):
        if split_of.setdefault(patient, name) != name:
            return patient, split_of[patient], name
    return None


def _check_splits(table: Table, splits: Sequence[str]) -> None:
    """Raises: DataError: a split or a class in it is missing, or a patient is in two splits."""
    for name in ("train", "test"):
        if name not in splits:
            raise DataError(f"no image is in the split '{name}': give at least train and test")
    count = Counter(zip(splits, table.labels.tolist(), strict=True))
    for name in (name for name in SPLITS if name in splits):
        for label, class_name in enumerate(table.class_names):
            if not count[name, label]:
                raise DataError(
                    f"the split '{name}' has no image of the class '{class_name}': "
                    "give every split images of each class"
                )
    if leak := find_patient_leak(table, splits):
        patient, first, second = leak
        raise DataError(
            f"the patient '{patient}' is in {first} and in {second}: "
            "give all images of a patient the same split"
        )


def _draw(table: Table, shares: dict[str, float], rng: np.random.Generator) -> tuple[str, ...]:
    """A random split in which all images of a patient are together."""
    patients, patient_of = np.unique(np.asarray(table.patients or table.keys), return_inverse=True)
    images = np.zeros((len(patients), len(table.class_names)), np.int64)  # of each class
    np.add.at(images, (patient_of, table.labels), 1)
    shuffled = rng.permutation(len(patients))
    split_of = np.full(len(patients), "train", object)
    for name, share in shares.items():
        target = _allocate(images.sum(axis=0), share) if share else 0 * images[0]
        free = [int(i) for i in shuffled if split_of[i] == "train"]
        split_of[_choose_patients(images, free, target)] = name
    return tuple(split_of[patient_of])


def _allocate(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The number of images of each class, share × N in total (half up): largest remainders.

    A class of two or more images gets at least one.

    >>> _allocate(np.array([326, 336]), 0.2).tolist()
    [65, 67]
    """
    exact = sizes * share
    least = np.minimum(sizes // 2, 1)
    parts = np.maximum(np.floor(exact).astype(np.int64), least)
    total = int(sizes.sum() * share + 0.5)
    while parts.sum() < total:
        parts[np.argmax(exact - parts)] += 1
    while parts.sum() > total and (parts > least).any():
        parts[np.argmax(np.where(parts > least, parts - exact, -np.inf))] -= 1
    return parts


def _choose_patients(
    images: NDArray[np.int64], free: list[int], target: NDArray[np.int64]
) -> list[int]:
    """Patients of `free`, taken in its order, whose images add up to the target.

    Patients are taken while they fit. If the count of a class is then wrong, patients are added,
    removed or exchanged as long as that brings the counts closer to the target.
    """
    chosen, missing = [], target.copy()
    for patient in free:
        if (images[patient] <= missing).all():
            chosen.append(patient)
            missing = missing - images[patient]
    while missing.any():
        taken = set(chosen)
        rest = [patient for patient in free if patient not in taken]
        removed, added = _best_exchange(images, chosen, rest, missing)
        if removed is None and added is None:
            break
        chosen = [patient for patient in chosen if patient != removed]
        chosen += [] if added is None else [added]
        missing = target - images[chosen].sum(axis=0)
    return chosen


def _best_exchange(
    images: NDArray[np.int64], chosen: list[int], rest: list[int], missing: NDArray[np.int64]
) -> tuple[int | None, int | None]:
    """The patients to remove and to add; None is nobody. Both None: no exchange improves it."""
    # patients with the same counts are interchangeable: try the first of each
    to_remove: list[int | None] = [None, *_first_with_counts(images, chosen)]
    to_add: list[int | None] = [None, *_first_with_counts(images, rest)]
    none = np.zeros((1, images.shape[1]), np.int64)
    lost = np.concatenate([none, images[[i for i in to_remove if i is not None]]])
    gained = np.concatenate([none, images[[i for i in to_add if i is not None]]])
    error = missing + lost[:, None] - gained[None]  # (to_remove, to_add, classes)
    distance = np.abs(error).sum(axis=2) + 2 * np.abs(error.sum(axis=2))  # the total weighs more
    i, j = np.unravel_index(int(distance.argmin()), distance.shape)
    return (to_remove[i], to_add[j]) if distance[i, j] < distance[0, 0] else (None, None)


def _first_with_counts(images: NDArray[np.int64], patients: list[int]) -> list[int]:
    """The first patient with each combination of images per class."""
    first: dict[tuple[int, ...], int] = {}
    for patient in patients:
        first.setdefault(tuple(images[patient].tolist()), patient)
    return list(first.values())


def read_contents(path: Path) -> set[str]:
    """The hashes of the images' files in a file of `write_splits`; empty where it has none.

    Raises: DataError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row[CONTENT] for row in csv.DictReader(file) if row.get(CONTENT)}
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"'{path}' is missing or damaged: it lists each image's split") from error
