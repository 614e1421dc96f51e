"""The answers that files of marks are written from: of each reader the newest, with its image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath

from sqlalchemy import select

from imil.errors import SettingsError, StoreError
from imil.grid import Grid
from imil.reader_names import NOBODY
from imil.reading_export import ExportRow, export_rows
from imil.store import Store, schema

RELEVANT, MISLEADING = (
    "relevant",
    "misleading",
)  # the two kinds of marks, as every format names them
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_STEM = 80  # characters of a file's name that come from a key


@dataclass(frozen=True)
class Answer:
    """A reader's newest answer to a case.

    Args:
        row: as in the exported tables.
        grid: of its squares.
        height, width: of the case's image, in pixels.
        slices: of the case's volume; None: it is an image.
    """

    row: ExportRow
    grid: Grid
    height: int
    width: int
    slices: int | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width, of a volume slices before them."""
        plane = self.height, self.width
        return plane if self.slices is None else (self.slices, *plane)

    def squares(self, kind: str) -> tuple[int, ...]:
        """The selected (`relevant`) or the misleading squares."""
        return self.grid.read(self.row.misleading if kind == MISLEADING else self.row.squares)

    def boxes(self, kind: str) -> list[tuple[int, int, int, int]]:
        """Left, top, width and height in pixels of each of these squares, of an image."""
        boxes = (self.grid.box(one, self.height, self.width) for one in self.squares(kind))
        return [(left, top, right - left, bottom - top) for top, left, bottom, right in boxes]

    def attributes(self) -> dict[str, str | int | float]:
        """What is known of the answer beside its marks, as every format has it."""
        row = self.row
        return {
            "reader": row.reader,
            "verdict": row.verdict,
            "epoch": row.epoch,
            "case": row.case,
            "truth": row.truth,
            "predicted": row.predicted,
            "confidence": row.confidence,
            "reason": row.reason,
            "seconds": row.seconds,
            "created": row.created,
            "grid": "x".join(map(str, self.grid.shape)),
        }


def answers(store: Store, run: str) -> list[Answer]:
    """The newest answer of each reader to each case of the run's rounds, oldest round first.

    Cases that a replay had no reading of are left out.

    Raises: StoreError: the image of a case is missing.
    """
    grids = {round_.epoch: round_.settings.grid for round_ in store.rounds(run)}
    sizes = _sizes(store, run)
    rows = [row for row in export_rows(store, run) if row.final == "yes" and row.reader != NOBODY]
    return [_answer(row, grids[row.epoch], sizes[row.epoch, row.case]) for row in rows]


def _answer(row: ExportRow, grid: Grid, shape: tuple[int, ...]) -> Answer:
    if grid.slabs is None:
        return Answer(row, grid, shape[0], shape[1])
    return Answer(row, grid, shape[1], shape[2], shape[0])


def check_images(given: Sequence[Answer], kind: str) -> None:
    """Raises: SettingsError: an answer is of a volume, which this format has no marks for."""
    of_volume = next((one for one in given if one.slices is not None), None)
    if of_volume is not None:
        raise SettingsError(
            f"'{of_volume.row.key}' is a volume, and --as {kind} has marks of images alone: give "
            "--as masks-nifti, csv, json or parquet"
        )


def safe_names(texts: Sequence[str]) -> list[str]:
    """A name of a file or folder for each of these texts, different for different texts.

    >>> safe_names(["films/größe 1.png", "b/../a", "b/a", "films/größe 1.png"])
    ['gr_e_1', 'a-1', 'a-2', 'gr_e_1']
    """
    stems = {text: _stem(text) for text in texts}
    counts = Counter(stem.casefold() for stem in stems.values())
    taken = {stem for stem, times in counts.items() if times == 1}
    names = {}
    for text, stem in stems.items():
        names[text] = stem
        if counts[stem.casefold()] > 1:
            numbered = (f"{stem}-{number}" for number in count(1))
            names[text] = next(name for name in numbered if name.casefold() not in taken)
            taken.add(names[text].casefold())
    return [names[text] for text in texts]


def _stem(text: str) -> str:
    stem = UNSAFE.sub("_", PurePosixPath(text).stem).strip("._")
    return stem[:LONGEST_STEM] or "unnamed"


def _sizes(store: Store, run: str) -> dict[tuple[int, int], tuple[int, ...]]:
    """Epoch and number of each case to the shape of its image."""
    case, round_, image = schema.cases.c, schema.rounds.c, schema.images.c
    query = (
        select(round_.epoch, case.number, image.shape)
        .join(schema.rounds, round_.id == case.round)
        .outerjoin(schema.images, image.sha256 == case.image)
        .where(round_.run == run)
    )
    sizes = {}
    with store.read() as db:
        for row in db.execute(query):
            if not isinstance(row.shape, list) or len(row.shape) < 2:
                raise StoreError(
                    f"the store {store.path} lacks the image of case {row.number} of the round "
                    f"after epoch {row.epoch}: restore it from a backup"
                )
            sizes[row.epoch, row.number] = tuple(int(one) for one in row.shape)
    return sizes
