"""Readings that were given before: from a table, or from another run's store."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from imil.cases import Case, Reading, Round
from imil.errors import DataError
from imil.grid import Grid
from imil.readers.reading_table import UNNAMED, Row, load_rows, squares_text, write_rows
from imil.store import Store

NOBODY = "nobody"  # who "reads" a case of which the file has no reading
STORE = "imil.sqlite"  # in the folder of a run
MAGIC = b"SQLite format 3\0"
TABLES = (".csv", ".json")


def replay(
    path: Path | str, *, run: str | None = None, reader: str | None = None, strict: bool = True
) -> Replay:
    """A reader that answers as the file does.

    A case is matched by its sample and, where the file has epochs, by the epoch of its round.
    A case that the file does not have is skipped by `NOBODY`, with a reason that says so.

    Args:
        path: CSV or JSON (see `imil.readers.reading_table`), a store, or the folder of a run.
        run: which run of a store; None: the only one.
        reader: whose readings, where the file has those of several; None: everybody's. The name
            as it is there, or with - for what a study's names cannot hold: Dr-Lee for Dr. Lee.
        strict: whether the reader raises a DataError where a round begins and the file has none
            of its cases; else all are skipped.
    Raises:
        DataError: there is no such file, a row makes no sense, or several have read and it is
            not clear which of them is meant.
        StoreError: the store cannot be opened.
    """
    path = Path(path)
    path = path / STORE if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"there are no readings at {path}: name a CSV, a JSON or a run's folder")
    if _is_store(path):
        rows = _stored(path, run)
    elif path.suffix.lower() in TABLES:
        rows = load_rows(path)
    else:
        raise DataError(f"{path} is no file of readings: give a .csv, a .json or a run's {STORE}")
    given = [row for row in rows if row.reader != NOBODY]
    return Replay(path, given if reader is None else _of(reader, given, path), strict=strict)


def write_readings(path: Path | str, store: Store, run: str) -> int:
    """How many readings of the run were written, as JSON or CSV by the file's name.

    All of them, oldest first, those that were changed later included: `replay` of the file
    answers as the run's readers did.

    Raises: DataError: the store has no such run, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLES:
        raise DataError(f"readings cannot be written to {path}: name a .csv or a .json")
    _known_run(store, run)
    rows = _rows(store, store.rounds(run))
    write_rows(path, rows)
    return len(rows)


class Replay:
    """Answers as the rows of a file do; made by `replay`."""

    def __init__(self, path: Path, rows: Sequence[Row], *, strict: bool) -> None:
        self.path, self._strict = path, strict
        self._at = {(row.key, row.epoch): row for row in rows}  # the last of a sample counts
        self._last = {row.key: row for row in rows}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The readings that count: one per sample and round."""
        return tuple(self._at.values())

    def usable(self, epochs: Collection[int], grid: Grid) -> list[Row]:
        """The readings for rounds after these epochs: what would stop a round is found before.

        Raises: DataError: there is none, or squares lie outside the grid.
        """
        rows = [row for row in self.rows if row.epoch is None or row.epoch in epochs]
        if not rows:
            there = sorted({row.epoch for row in self.rows if row.epoch is not None})
            only = f"only after {', '.join(map(str, there))}" if there else "nor any other"
            raise DataError(
                f"{self.path} has no reading for the round after epoch "
                f"{', '.join(map(str, sorted(epochs)))}, {only}: leave the column epoch out to "
                "use them in any round"
            )
        for row in rows:
            row.on(grid)
        return rows

    def knows(self, case: Case) -> bool:
        """Whether the file has a reading of the case."""
        return self._row(case) is not None

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        found = [self._row(case) for case in cases]
        # later on, what is left of a round may well be the cases that the file does not have
        if self._strict and any(case.number == 1 for case in cases) and not any(found):
            raise DataError(self._nothing(cases[0]))
        for case, row in zip(cases, found, strict=True):
            yield row.reading(case) if row else self._skip(case)

    def _row(self, case: Case) -> Row | None:
        return self._at.get((case.key, case.epoch)) or self._at.get((case.key, None))

    def _skip(self, case: Case) -> Reading:
        return Reading(case.id, NOBODY, "skip", reason=f"{self.path.name} has no reading of it")

    def _nothing(self, case: Case) -> str:
        epochs = sorted({epoch for _, epoch in self._at if epoch is not None})
        if not any(row_key == case.key for row_key, _ in self._at) or not epochs:
            return (
                f"{self.path} has no reading of any case of this round (the first is "
                f"'{case.key}'): give the readings of the same samples"
            )
        return (
            f"{self.path} has no reading of any case of the round after epoch {case.epoch}, "
            f"only after {', '.join(map(str, epochs))}: leave the column epoch out to use them "
            "in any round"
        )


def _of(reader: str, rows: Sequence[Row], path: Path) -> Sequence[Row]:
    """The rows of that reader; all of them where no two readers are named."""
    names = sorted({row.reader for row in rows} - {UNNAMED})
    if len(names) < 2:
        return rows
    plain = [name for name in names if re.sub(r"[^A-Za-z0-9_-]+", "-", name) == reader]
    theirs = [reader] if reader in names else plain
    if len(theirs) != 1:
        raise DataError(
            f"{path} has readings of {', '.join(names)}, and it is not clear which of them "
            f"'{reader}' is: give the reader one of these names (imil train: --reader-name)"
        )
    return [row for row in rows if row.reader == theirs[0]]


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _stored(path: Path, run: str | None) -> list[Row]:
    store = Store(path, readonly=True)
    try:
        names = [str(row["name"]) for row in store.runs()]
        if run is None and len(names) > 1:
            raise DataError(f"{path} has the runs {', '.join(names)}: name one of them")
        if run is not None:
            _known_run(store, run)
        return _rows(store, store.rounds(run))
    finally:
        store.close()


def _known_run(store: Store, run: str) -> None:
    names = [str(row["name"]) for row in store.runs()]
    if run not in names:
        raise DataError(
            f"there is no run '{run}' in {store.path}: it has {', '.join(names) or 'none'}"
        )


def _rows(store: Store, rounds: Sequence[Round]) -> list[Row]:
    """Every reading of the rounds, oldest first."""
    rows = []
    for round_ in rounds:
        keys = {case.id: case.key for case in store.cases(round_.id)}
        for reading in store.readings(round_.id):
            rows.append(_row(keys[reading.case], round_.epoch, reading, store.path))
    return rows


def _row(key: str, epoch: int, reading: Reading, path: Path) -> Row:
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
        place=f"{path}, '{key}' after epoch {epoch}",
    )
