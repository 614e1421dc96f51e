"""The images of a study: its data and its external sets, read and hashed, as every job will."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.data.file_hashes import hash_files
from imil.data.near_duplicates import SIDE, edge_vectors
from imil.data.table import Table, check_masks, read_data
from imil.data.table_columns import TextColumns, read_columns
from imil.errors import DataError, SettingsError
from imil.settings import TrainSettings
from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.training.prepared_data import Prepared, decode_table, relabel

DATA = "data"
MASKS = "mask_content"  # a column that images.parquet did not have at first
OWN = ("key", "set", "split", "label", "class_name", "content", MASKS, "patient")  # its own columns
MOST_GROUPS = 20  # different values of a subgroup column; more are no groups, but measurements
Say = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images that can be read.

    Args:
        name: `data`, or `external-NAME`.
        images: at the training size, with their table; `bad` are those that cannot be read.
        contents: N SHA-256 of the files.
        masks: N SHA-256 of what the masks' files hold, empty where an image has none; of external
            sets no masks are used.
        prints: what they look like, (N, P); see `imil.data.near_duplicates`.
        groups: the plan's subgroup columns, N texts each; empty: not known.
        warnings: what is odd about it, a sentence each.
    """

    name: str
    images: Prepared
    contents: tuple[str, ...]
    masks: tuple[str, ...]
    prints: NDArray[np.float16]
    groups: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.images.table)

    @property
    def keys(self) -> tuple[str, ...]:
        """N names, unique in the set."""
        return self.images.table.keys

    def rows(self) -> pd.DataFrame:
        """The set's rows of images.parquet."""
        table = self.images.table
        columns: dict[str, object] = {
            "key": table.keys,
            "set": self.name,
            "label": table.labels,
            "class_name": [table.class_names[label] for label in table.labels],
            "content": self.contents,
            MASKS: self.masks,
            "patient": table.patients or ("",) * len(table),
        }
        return pd.DataFrame(columns | self.groups)


def read_sets(plan: Plan, *, cache: Path, say: Say) -> list[ImageSet]:
    """The data, then the external sets in the plan's order.

    Args:
        cache: where decoded images are kept; the jobs find them there.
        say: is told what takes long.
    Raises: DataError, SettingsError: a set cannot be used, in one sentence.
    """
    data = _read(plan, DATA, plan.data, cache, say)
    check_masks(data.images.table)
    found = [data]
    for name, external in plan.external.items():
        try:
            apart = _read(plan, f"external-{name}", external.data, cache, say)
            found.append(_alike(apart, data))
        except DataError as error:
            raise DataError(f"the external set '{name}' cannot be used: {error}") from error
    return found


def _read(plan: Plan, name: str, data: str, cache: Path, say: Say) -> ImageSet:
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    every = read_data(Path(data), settings.columns())
    columns, missing = _groups(Path(data), plan.subgroups, needed=name == DATA)
    images = _decoded(every, settings, cache, say)  # what takes minutes comes last
    bad = dict(images.bad)
    kept = [i for i, key in enumerate(every.keys) if key not in bad]
    contents, _ = hash_files(images.table.images, cache / "hashes.json", lambda _done, _of: None)
    if settings.image_size < SIDE:
        larger = settings.model_copy(update={"image_size": SIDE})
        prints = edge_vectors(_decoded(every, larger, cache, say).pixels)
    else:
        prints = edge_vectors(images.pixels)
    return ImageSet(
        name,
        images,
        tuple(contents),
        _masks(images.table, cache) if name == DATA else ("",) * len(kept),
        prints,
        {
            column: tuple(columns[column][i] if column in columns else "" for i in kept)
            for column in plan.subgroups
        },
        (
            *(f"{name}: '{key}' is left out: {why}" for key, why in bad.items()),
            *(f"{name} has no column '{one}': no subgroups of it there" for one in missing),
        ),
    )


def _masks(table: Table, cache: Path) -> tuple[str, ...]:
    """What the masks of each image hold."""
    held: list[dict[str, str]] = [{} for _ in table.keys]
    for column, files in table.masks.items():
        there = {i: file for i, file in enumerate(files) if file is not None}
        hashes, _ = hash_files(list(there.values()), cache / "hashes.json", lambda _done, _of: None)
        for i, content in zip(there, hashes, strict=True):
            held[i][column] = content
    return tuple(
        hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() if one else ""
        for one in held
    )


def _decoded(every: Table, settings: TrainSettings, cache: Path, say: Say) -> Prepared:
    told: list[str] = []

    def progress(_done: int, _of: int) -> None:
        if not told:
            told.append(
                f"Reading {len(every)} images at {settings.image_size} px, once for all jobs."
            )
            say(told[0])

    return decode_table(every, settings, cache=cache, progress=progress)


def _groups(data: Path, wanted: Sequence[str], *, needed: bool) -> tuple[TextColumns, list[str]]:
    """The columns of subgroups, and which of them are not there.

    Raises: SettingsError: they are needed and not there, or one holds no groups.
    """
    if not wanted:
        return {}, []
    taken = next((name for name in wanted if name in OWN), None)
    if taken is not None:
        raise SettingsError(
            f"'{taken}' cannot name a column of subgroups, for the study has its own: copy the "
            f"column under another name, such as {taken}-group"
        )
    names, columns = ([], {}) if data.is_dir() else read_columns(data, wanted)
    missing = [name for name in wanted if name not in columns]
    if missing and needed:
        known = f"but {', '.join(names)}" if names else "for it is a folder: give a table"
        raise SettingsError(f"'{data}' has no column '{missing[0]}' for subgroups, {known}")
    for name, cells in columns.items():
        values = {cell for cell in cells if cell}
        if len(values) > MOST_GROUPS:
            raise SettingsError(
                f"the subgroup column '{name}' of '{data}' has {len(values)} different values: "
                f"give one with at most {MOST_GROUPS}, such as bands of age"
            )
    return columns, missing


def _alike(apart: ImageSet, data: ImageSet) -> ImageSet:
    """The external set with the data's classes.

    Raises: DataError: it has another class.
    """
    given, like = apart.images.table, data.images
    table = relabel(given, like)
    absent = [name for name in like.class_names if name not in given.class_names]
    warnings = [
        f"{apart.name} has no image of the class '{name}': not every measure exists there"
        for name in absent
    ]
    images = replace(apart.images, table=table)
    return replace(apart, images=images, warnings=(*apart.warnings, *warnings))
