"""Which images train, validate and test: given, or drawn by patient and class."""

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

SPLITS = ("train", "val", "test")
HEAD = ("key", "label", "split")


def split(table: Table, *, test: float = 0.2, val: float = 0.0, seed: int) -> tuple[str, ...]:
    """`train`, `val` or `test` for each image; as the table says, if it does.

    Otherwise drawn: no patient in two splits, each class in the same proportion, and of N
    images N × share in all (half up), as nearly as whole patients allow. A class that has
    enough images is in every split. The same keys, patients and seed give the same split,
    whatever the order of the rows.

    Args:
        test: share of the images, in (0, 1) (paper 3.3.1: 132 of 662).
        val: share of the images, in [0, 1); 0 is none.
        seed: 0 or more.
    Raises:
        SettingsError: the shares leave nothing to train on.
        DataError: a class is missing from a split, or a patient is in two.
    """
    if table.splits is not None:
        _check(table, table.splits)
        return table.splits
    if not (test > 0 and val >= 0 and test + val < 1):
        raise SettingsError(
            f"shares of {test:g} for testing and {val:g} for validation are not possible: "
            "give more than 0 for testing, and less than 1 in all"
        )
    drawn = _draw(table, {"test": test, "val": val}, np.random.default_rng(seed))
    _check(table, drawn)
    return drawn


def write_splits(path: Path, table: Table, splits: Sequence[str]) -> None:
    """Write key, label and split of each image as CSV, all or nothing."""
    half_written = path.with_name(f".{path.name}.part")
    try:
        with half_written.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(HEAD)
            lines.writerows(zip(table.keys, table.labels.tolist(), splits, strict=True))
            file.flush()
            os.fsync(file.fileno())
        half_written.replace(path)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}") from error


def read_splits(path: Path, table: Table) -> tuple[str, ...]:
    """The split of each image of the table, from what `write_splits` wrote.

    Raises: DataError: the file is damaged, or the table has other images or labels by now.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            written = {row["key"]: (row["label"], row["split"]) for row in csv.DictReader(file)}
        for _, name in written.values():
            SPLITS.index(name)
    except (OSError, ValueError, csv.Error, KeyError) as error:
        raise DataError(
            f"'{path}' is not there or is damaged: it lists each image's split"
        ) from error
    now = dict(zip(table.keys, map(str, table.labels.tolist()), strict=True))
    changed = [
        key
        for key in {**now, **written}
        if key not in written or key not in now or written[key][0] != now[key]
    ]
    if changed:
        raise DataError(
            f"the data has changed since '{path}' was written: {len(changed)} images are new, "
            f"gone or labelled otherwise, '{changed[0]}' the first; put them back, or start anew"
        )
    return tuple(written[key][1] for key in table.keys)


def find_patient_leak(table: Table, splits: Sequence[str]) -> tuple[str, str, str] | None:
    """The first patient who is in two splits, and these; None where there is none.

    Args:
        table: of N images, with their patients or without.
        splits: N names.
    """
    where: dict[str, str] = {}
    for patient, name in zip(table.patients or (), splits, strict=False):
        if where.setdefault(patient, name) != name:
            return patient, where[patient], name
    return None


def _check(table: Table, splits: Sequence[str]) -> None:
    """Every class is in every split, there is something to train and to test on, and no leak."""
    for name in ("train", "test"):
        if name not in splits:
            raise DataError(f"no image is in the split '{name}': give train and test at least")
    count = Counter(zip(splits, table.labels.tolist(), strict=True))
    for name in (name for name in SPLITS if name in splits):
        for label, called in enumerate(table.class_names):
            if not count[name, label]:
                raise DataError(
                    f"the split '{name}' has no image of the class '{called}': "
                    "give every split some of each class"
                )
    if leak := find_patient_leak(table, splits):
        patient, one, other = leak
        raise DataError(
            f"the patient '{patient}' is in {one} and in {other}: "
            "give all images of a patient the same split"
        )


def _draw(table: Table, shares: dict[str, float], rng: np.random.Generator) -> tuple[str, ...]:
    """A split in which each patient goes one way."""
    patients, owner = np.unique(np.asarray(table.patients or table.keys), return_inverse=True)
    images = np.zeros((len(patients), len(table.class_names)), np.int64)  # of each class
    np.add.at(images, (owner, table.labels), 1)
    shuffled = rng.permutation(len(patients))
    where = np.full(len(patients), "train", object)
    for name, share in shares.items():
        target = _apportioned(images.sum(axis=0), share) if share else 0 * images[0]
        free = [int(i) for i in shuffled if where[i] == "train"]
        where[_chosen(images, free, target)] = name
    return tuple(where[owner])


def _apportioned(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Images of each class so that all are share × N, half up: by largest remainders.

    A class of two images or more gets one at least.

    >>> _apportioned(np.array([326, 336]), 0.2).tolist()
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


def _chosen(images: NDArray[np.int64], free: list[int], target: NDArray[np.int64]) -> list[int]:
    """Patients of `free`, in whose order they are drawn, that have the target's images together.

    Patients are taken while they fit. If some class is then off, patients are added, taken
    out or exchanged as long as that brings the counts nearer to the target.
    """
    chosen, missing = [], target.copy()
    for patient in free:
        if (images[patient] <= missing).all():
            chosen.append(patient)
            missing = missing - images[patient]
    while missing.any():
        taken = set(chosen)
        rest = [patient for patient in free if patient not in taken]
        out, into = _best_move(images, chosen, rest, missing)
        if out is None and into is None:
            break
        chosen = [patient for patient in chosen if patient != out]
        chosen += [] if into is None else [into]
        missing = target - images[chosen].sum(axis=0)
    return chosen


def _best_move(
    images: NDArray[np.int64], chosen: list[int], rest: list[int], missing: NDArray[np.int64]
) -> tuple[int | None, int | None]:
    """Whom to take out and whom to take in; None is nobody. Both None: nothing gets better."""
    # patients with the same images are alike: the first of each kind stands for all
    outs: list[int | None] = [None, *_first_of_kind(images, chosen)]
    intos: list[int | None] = [None, *_first_of_kind(images, rest)]
    none = np.zeros((1, images.shape[1]), np.int64)
    left = np.concatenate([none, images[[i for i in outs if i is not None]]])
    came = np.concatenate([none, images[[i for i in intos if i is not None]]])
    off = missing + left[:, None] - came[None]  # (outs, intos, classes)
    distance = np.abs(off).sum(axis=2) + 2 * np.abs(off.sum(axis=2))  # the total weighs more
    i, j = np.unravel_index(int(distance.argmin()), distance.shape)
    return (outs[i], intos[j]) if distance[i, j] < distance[0, 0] else (None, None)


def _first_of_kind(images: NDArray[np.int64], patients: list[int]) -> list[int]:
    kinds: dict[tuple[int, ...], int] = {}
    for patient in patients:
        kinds.setdefault(tuple(images[patient].tolist()), patient)
    return list(kinds.values())
