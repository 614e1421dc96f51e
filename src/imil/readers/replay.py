"""The replay reader: earlier readings, from a file or from another run's store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imil.cases import Case, Reading, Round
from imil.data.cell_text import clean
from imil.errors import DataError
from imil.grid import Grid
from imil.reader_names import EVERYBODY, NOBODY
from imil.readers.marks import SHARE
from imil.readers.reading_files import FORMATS, load_readings, match_names
from imil.readers.reading_row import UNNAMED, Row
from imil.readers.reading_table import write_rows
from imil.run_folder import RunFolder, store_path
from imil.run_store import run_store
from imil.square_text import squares_text
from imil.store import Store
from imil.store_address import DatabaseUrl, Location

SQLITE_HEADER = b"SQLite format 3\0"
TABLES = (".csv", ".json")


def replay(
    path: Path | str,
    *,
    run: str | None = None,
    reader: str | None = None,
    strict: bool = True,
    share: float = SHARE,
    keys: Collection[str] = (),
) -> Replay:
    """A reader that gives the readings of a file.

    A case is matched by its sample and, where the file has epochs, by the epoch of its round. Each
    reader of the file answers under their own name, and the round merges the answers.
    A case without a reading is skipped by the reader `NOBODY`, with a reason that says so.

    Args:
        path: a table (see `imil.readers.reading_table`), COCO or Label Studio JSON, a folder of
            masks, a store, or the folder of a run.
        run: which run of a store; None: the only one.
        reader: whose readings to use, where the file has several readers; None or `all`: all. The
            name as in the file, or with - for characters that names in a study cannot have: Dr-Lee
            for Dr. Lee.
        strict: whether to raise a DataError at the start of a round if the file has none of its
            cases; otherwise all are skipped.
        share: of a square that marks must cover to select it, in files that have parts of the
            image instead of squares: more than 0, at most 1.
        keys: of all samples: marks of an image that is named otherwise belong to the only sample
            with the same file name, whatever its folder and ending.
    Raises:
        DataError: the file does not exist, a row is invalid, or there are several readers and it
            is unclear which one is meant.
        StoreError: the store cannot be opened.
    """
    if (database := run_store(Path(path)).place) and isinstance(database, DatabaseUrl):
        raise DataError(
            f"the readings of the run in {path} are in {database}: write them to a file first, "
            f"with `imil export {path} --out readings.csv`, and give that"
        )
    given = Path(path)
    path = store_path(given)
    if path.is_file() and _is_store(path):
        rows = _load_stored_rows(path, run)
    elif path.is_file() or (given.is_dir() and not RunFolder(given).config.exists()):
        path = path if path.is_file() else given
        rows = match_names(load_readings(path, share), keys)
    else:
        raise DataError(f"there are no readings at {path}: give {FORMATS}, or a run's folder")
    rows = [row for row in rows if row.reader != NOBODY]
    every = reader is None or reader == EVERYBODY
    return Replay(path, rows if every else _rows_of(str(reader), rows, path), strict=strict)


def write_readings(path: Path | str, store: Store, run: str) -> int:
    """Write the readings of the run as JSON or CSV, by the file's name; returns their number.

    All of them, oldest first, including those that were changed later: `replay` of the file gives
    the same readings as the run's readers.

    Raises: DataError: the store has no such run, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLES:
        raise DataError(f"readings cannot be written to {path}: name a .csv or a .json")
    _check_run(store, run)
    rows = _store_rows(store, store.rounds(run))
    write_rows(path, rows)
    return len(rows)


class Replay:
    """A reader that gives the readings of rows; made by `replay`."""

    def __init__(self, path: Path, rows: Sequence[Row], *, strict: bool) -> None:
        self.path, self._strict = path, strict
        # of each reader the last one counts
        self._rows = {(row.key, row.epoch, row.reader): row for row in rows}
        self._of_keys: dict[str, list[Row]] = {}
        # as spreadsheets change keys: spaces, what is invisible, the Unicode form
        self._of_clean_keys: dict[str, list[Row]] = {}
        for row in self._rows.values():
            self._of_keys.setdefault(row.key, []).append(row)
            self._of_clean_keys.setdefault(clean(row.key), []).append(row)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The readings that count: one per sample, round and reader."""
        return tuple(self._rows.values())

    def usable(self, epochs: Collection[int], grid: Grid) -> list[Row]:
        """The readings for rounds after these epochs, checked before the rounds begin.

        Raises: DataError: there are none, or squares are invalid on the grid.
        """
        rows = [row for row in self.rows if row.epoch is None or row.epoch in epochs]
        if not rows:
            present = sorted({row.epoch for row in self.rows if row.epoch is not None})
            only = f"only after {', '.join(map(str, present))}" if present else "nor any other"
            raise DataError(
                f"{self.path} has no reading for the round after epoch "
                f"{', '.join(map(str, sorted(epochs)))}, {only}: leave the column epoch out to "
                "use them in any round"
            )
        for row in rows:
            row.on(grid)
        return rows

    def has_reading(self, case: Case) -> bool:
        """Whether the file has a reading of the case."""
        return bool(self._rows_for(case))

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case and reader, in order."""
        # in a resumed round, the open cases may well be those that the file has no reading of
        starts = any(case.number == 1 for case in cases)
        if self._strict and starts and not any(self._rows_for(case) for case in cases):
            raise DataError(self._no_reading_message(cases[0]))
        for case in cases:
            yield from self._answers(case)

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """The cases of which a reading of the file is not stored yet."""
        stored = {reading.id for reading in readings}
        return [case for case in cases if not {one.id for one in self._answers(case)} <= stored]

    def _answers(self, case: Case) -> list[Reading]:
        """The readings of the case, each with the same id every time: it is stored once."""
        rows = self._rows_for(case)
        answers = [row.reading(case) for row in rows] or [self._skip(case)]
        return [replace(one, id=_id(one)) for one in answers]

    def _rows_for(self, case: Case) -> list[Row]:
        """The row of each reader: that of the case's round before one without an epoch."""
        rows = self._of_keys.get(case.key) or self._of_clean_keys.get(clean(case.key), [])
        any_round = {row.reader: row for row in rows if row.epoch is None}
        of_round = {row.reader: row for row in rows if row.epoch == case.epoch}
        return list({**any_round, **of_round}.values())

    def _skip(self, case: Case) -> Reading:
        return Reading(case.id, NOBODY, "skip", reason=f"{self.path.name} has no reading of it")

    def _no_reading_message(self, case: Case) -> str:
        epochs = sorted({row.epoch for row in self.rows if row.epoch is not None})
        if clean(case.key) not in self._of_clean_keys or not epochs:
            return (
                f"{self.path} has no reading of any case of this round (the first is "
                f"'{case.key}'): give the readings of the same samples"
            )
        return (
            f"{self.path} has no reading of any case of the round after epoch {case.epoch}, "
            f"only after {', '.join(map(str, epochs))}: leave the column epoch out to use them "
            "in any round"
        )


def _rows_of(reader: str, rows: Sequence[Row], path: Path) -> Sequence[Row]:
    """The rows of that reader; all rows if fewer than two readers are named."""
    names = sorted({clean(row.reader) for row in rows} - {UNNAMED})
    if len(names) < 2:
        return rows
    similar = [name for name in names if re.sub(r"[^A-Za-z0-9_-]+", "-", name) == reader]
    matches = [clean(reader)] if clean(reader) in names else similar
    if len(matches) != 1:
        raise DataError(
            f"{path} has readings of {', '.join(names)}, and none of them matches "
            f"'{reader}': give the reader one of these names (imil train: --reader-name), or "
            f"'{EVERYBODY}' to merge the answers of all"
        )
    return [row for row in rows if clean(row.reader) == matches[0]]


def _id(reading: Reading) -> str:
    """An id made of the whole answer, 32 hexadecimal digits."""
    content = replace(reading, id="", created="")
    return hashlib.sha256(repr(content).encode()).hexdigest()[:32]


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER)) == SQLITE_HEADER


def _load_stored_rows(path: Path, run: str | None) -> list[Row]:
    store = Store(path, readonly=True)
    try:
        names = [str(row["name"]) for row in store.runs()]
        if run is None and len(names) > 1:
            raise DataError(f"{path} has the runs {', '.join(names)}: name one of them")
        if run is not None:
            _check_run(store, run)
        return _store_rows(store, store.rounds(run))
    finally:
        store.close()


def _check_run(store: Store, run: str) -> None:
    names = [str(row["name"]) for row in store.runs()]
    if run not in names:
        raise DataError(
            f"there is no run '{run}' in {store.path}: it has {', '.join(names) or 'none'}"
        )


def _store_rows(store: Store, rounds: Sequence[Round]) -> list[Row]:
    """Every reading of the rounds, oldest first."""
    rows = []
    for round_ in rounds:
        keys = {case.id: case.key for case in store.cases(round_.id)}
        for reading in store.readings(round_.id):
            rows.append(_row(keys[reading.case], round_.epoch, reading, store.path))
    return rows


def _row(key: str, epoch: int, reading: Reading, path: Location) -> Row:
    before = reading.squares_before
    return Row(
        key=key,
        epoch=epoch,
        verdict=reading.verdict,
        squares=squares_text(reading.squares),
        squares_before=None if before is None else squares_text(before),
        reason=reading.reason,
        seconds=reading.seconds,
        reader=reading.reader,
        misleading=squares_text(reading.misleading),
        place=f"{path}, '{key}' after epoch {epoch}",
    )
