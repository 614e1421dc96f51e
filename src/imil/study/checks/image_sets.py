"""The image sets of a study, its data and its external sets, read and hashed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.data.mask_files import check_selections, mask_contents
from imil.data.near_duplicates import SIDE, edge_vectors
from imil.data.table import Table, check_masks, read_data
from imil.data.table_columns import TextColumns, read_columns
from imil.errors import DataError, SettingsError
from imil.settings import TrainSettings
from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.training.samples.prepared_data import Prepared, decode_table, relabel

DATA = "data"
MASKS = "mask_content"  # a column that older studies do not have in images.parquet
RESERVED = ("key", "set", "split", "label", "class_name", "content", MASKS, "patient")
MAX_GROUPS = 20  # different values of a subgroup column; more are measurements, not groups
Say = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images that can be read.

    Args:
        name: `data`, or `external-NAME`.
        images: at the training size, with their table; `bad` lists unreadable files.
        contents: N SHA-256 of the files.
        masks: N SHA-256 of the mask files' content, empty where an image has none; masks of
            external sets are not used.
        prints: fingerprints of the images' look, (N, P); see `imil.data.near_duplicates`.
        groups: the plan's subgroup columns, N texts each; empty: not known.
        warnings: a sentence each.
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
        cache: folder of decoded images, which the jobs use too.
        say: called with a message before long work.
    Raises: DataError, SettingsError: a set cannot be used, in one sentence.
    """
    data = _read(plan, DATA, plan.data, cache, say)
    check_masks(data.images.table)
    check_selections(data.images.table, cache)
    sets = [data]
    for name, external in plan.external.items():
        try:
            other = _read(plan, f"external-{name}", external.data, cache, say)
            sets.append(_with_classes_of(data, other))
        except DataError as error:
            raise DataError(f"the external set '{name}' cannot be used: {error}") from error
    return sets


def _read(plan: Plan, name: str, data: str, cache: Path, say: Say) -> ImageSet:
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    table = read_data(Path(data), settings.columns())
    columns, missing = _subgroups(Path(data), plan.subgroups, needed=name == DATA)
    images = _decoded(table, settings, cache, say)  # last: it takes minutes
    bad = dict(images.bad)
    kept = [i for i, key in enumerate(table.keys) if key not in bad]
    if settings.image_size < SIDE:
        larger = settings.model_copy(update={"image_size": SIDE})
        prints = edge_vectors(_decoded(table, larger, cache, say).pixels)
    else:
        prints = edge_vectors(images.pixels)
    return ImageSet(
        name,
        images,
        images.contents,
        mask_contents(images.table, cache) if name == DATA else ("",) * len(kept),
        prints,
        {
            column: tuple(columns[column][i] if column in columns else "" for i in kept)
            for column in plan.subgroups
        },
        (
            *(f"{name}: '{key}' is left out: {why}" for key, why in bad.items()),
            *(f"{name} has no column '{one}': it has no results by {one}" for one in missing),
        ),
    )


def _decoded(table: Table, settings: TrainSettings, cache: Path, say: Say) -> Prepared:
    messages = [f"Reading {len(table)} images at {settings.image_size} px, once for all jobs."]

    def progress(_done: int, _of: int) -> None:
        if messages:  # once, and only where images are not in the cache
            say(messages.pop())

    return decode_table(table, settings, cache=cache, progress=progress)


def _subgroups(data: Path, wanted: Sequence[str], *, needed: bool) -> tuple[TextColumns, list[str]]:
    """The subgroup columns, and which of them are missing.

    Raises: SettingsError: a needed one is missing, or one has too many values.
    """
    if not wanted:
        return {}, []
    reserved = next((name for name in wanted if name in RESERVED), None)
    if reserved is not None:
        raise SettingsError(
            f"'{reserved}' cannot name a column of subgroups, the study uses that name itself: "
            f"copy the column under another name, such as {reserved}-group"
        )
    names, columns = ([], {}) if data.is_dir() else read_columns(data, wanted)
    missing = [name for name in wanted if name not in columns]
    if missing and needed:
        reason = f"but {', '.join(names)}" if names else "it is a folder: give a table"
        raise SettingsError(f"'{data}' has no column '{missing[0]}' for subgroups, {reason}")
    for name, cells in columns.items():
        values = {cell for cell in cells if cell}
        if len(values) > MAX_GROUPS:
            raise SettingsError(
                f"the subgroup column '{name}' of '{data}' has {len(values)} different values: "
                f"give one with at most {MAX_GROUPS}, such as age bands"
            )
    return columns, missing


def _with_classes_of(data: ImageSet, external: ImageSet) -> ImageSet:
    """The external set with the data's class numbers.

    Raises: DataError: it has a class that the data do not have.
    """
    given, classes = external.images.table, data.images.class_names
    table = relabel(given, data.images)
    warnings = [
        f"{external.name} has no image of the class '{name}': some measures are not defined on it"
        for name in classes
        if name not in given.class_names
    ]
    images = replace(external.images, table=table)
    return replace(external, images=images, warnings=(*external.warnings, *warnings))
