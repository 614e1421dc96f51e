"""Whether all that a store holds can be read: pages, references, images, numbers.

It reads the whole file, and is for stores that may come from elsewhere: before they are served, and
before a training goes on with them. A database stays on its server, which keeps pages and
references whole; of it, the rounds of one run are read, without images.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

from imil.cases import State
from imil.errors import ImilError
from imil.store.database import damaged_row
from imil.store.integrity import check_pages
from imil.store.row_mapping import image_row
from imil.store.store import Store


def check_content(store: Store, run: str | None = None) -> None:
    """Check everything in a file, or of a database the rounds of a run.

    Args:
        run: name of the run; None: of all runs.
    Raises: StoreError: it is damaged: what, and where.
    """
    if isinstance(store.path, Path):
        run = None
        for name in _check_file(store.path):
            _check_image(store, name)
    for round_ in store.rounds(run):
        if round_.state not in get_args(State):
            raise damaged_row(store.path, f"round '{round_.id}' has the state '{round_.state}'")
        _check_round(store, round_.id)


def _check_file(path: Path) -> list[str]:
    """The names of the images in a file whose pages and references are whole."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as raw:
            raw.execute("PRAGMA trusted_schema = OFF")
            check_pages(raw, path)
            lost = raw.execute("PRAGMA foreign_key_check").fetchone()
            images = [str(row[0]) for row in raw.execute("SELECT sha256 FROM images")]
    except sqlite3.Error as error:
        raise damaged_row(path, str(error)) from error
    # a case whose image is missing can be skipped, and the page says so
    if lost is not None and lost[2] != "images":
        raise damaged_row(path, f"a row of '{lost[0]}' belongs to none of '{lost[2]}'")
    return images


def _check_image(store: Store, name: str) -> None:
    if image_row(store.image(name))["sha256"] != name:
        raise damaged_row(store.path, f"image {name[:12]}… has other pixels than were shown")


def _check_round(store: Store, round_id: str) -> None:
    cases = store.cases(round_id)
    grids = {case.id: case.grid for case in cases}
    for case in cases:
        classes = range(len(case.class_names))
        if case.label not in classes or case.predicted not in classes:
            raise damaged_row(store.path, f"case '{case.id}' has a class that the run has not")
        _ = case.cam_predicted, case.cam_true
    for reading in store.readings(round_id):
        try:
            reading.checked(grids[reading.case])
        except (ImilError, TypeError) as error:
            raise damaged_row(store.path, f"a reading of case '{reading.case}': {error}") from error
