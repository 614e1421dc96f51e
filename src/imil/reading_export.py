"""Every reading of a run as a table: who answered what, when, and what they selected at first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from imil.cases import Case, Reading, Round
from imil.errors import StoreError
from imil.grid import Grid
from imil.output_text import csv_cell
from imil.square_text import squares_text
from imil.store import Store, schema, schema_version
from imil.store.audit import record

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NONE = "none"  # a first look without a square, as in tables of readings


@dataclass(frozen=True)
class FirstLook:
    """What a reader selected before the model's opinion was shown."""

    squares: tuple[int, ...]
    seconds: float
    created: str


@dataclass(frozen=True)
class ExportRow:
    """A reading with its case; the names are the columns of the table.

    `epoch` to `reader` are as in the tables that `--reader replay:FILE` reads. `final` says whether
    it is the reader's newest answer of the case. Times are UTC, ISO 8601.
    """

    run: str
    case: int
    key: str
    epoch: int
    truth: str
    predicted: str
    confidence: float
    reader: str
    verdict: str
    squares: str
    squares_before: str
    misleading: str
    reason: str
    seconds: float
    created: str
    final: str
    first_look_seconds: float | str
    first_look_created: str


@dataclass(frozen=True)
class VolumeRow(ExportRow):
    """A reading of a volume: in which slabs its squares lie, from 1 for the first."""

    slabs: str
    misleading_slabs: str


COLUMNS = tuple(field.name for field in fields(ExportRow))
# what names a patient stays on the machine: a page knows a case by its number
PAGE_COLUMNS = tuple(name for name in COLUMNS if name != "key")


def export_rows(store: Store, run: str) -> list[ExportRow]:
    """Every reading of the run's rounds, oldest first, those that were changed later included.

    Where a round is of volumes, all rows are `VolumeRow`s.
    """
    rounds = store.rounds(run)
    rows = [(round_, row) for round_ in rounds for row in _rows(store, round_)]
    if all(round_.settings.grid.slabs is None for round_ in rounds):
        return [row for _, row in rows]
    return [_with_slabs(row, round_.settings.grid) for round_, row in rows]


def columns_of(rows: Sequence[ExportRow]) -> tuple[str, ...]:
    """The names of the rows' columns."""
    return tuple(field.name for field in fields(rows[0])) if rows else COLUMNS


def record_export(store: Store, run: str, who: str, what: str) -> None:
    """Record in the audit that a person has taken a table of readings out of the store.

    A store that may not be written, or has an older schema, is exported without a record.
    """
    if schema_version(store.path) == schema.HEAD:
        with suppress(StoreError), closing(Store(store.path)) as writable, writable.write() as db:
            record(db, run, who, "export", what)


def unanswered_looks(store: Store, run: str) -> int:
    """How many first looks have no answer, and are not in the table."""
    count = 0
    for round_ in store.rounds(run):
        answered = {(one.case, one.reader) for one in store.readings(round_.id)}
        count += len(set(first_looks(store, round_.id)) - answered)
    return count


def first_looks(store: Store, round_id: str) -> dict[tuple[str, str], FirstLook]:
    """Case and reader to the reader's first look at it, of a blind-first round."""
    table, case = schema.first_looks, schema.cases.c
    query = select(table).join(schema.cases, case.id == table.c.case).where(case.round == round_id)
    with store.read() as db:
        return {
            (row.case, row.reader): FirstLook(tuple(row.squares), row.seconds, row.created)
            for row in db.execute(query)
        }


def as_csv(rows: Iterable[DataclassInstance], columns: Sequence[str] = COLUMNS) -> str:
    """The rows as a CSV table, the names of the columns first."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, extrasaction="ignore")
    table.writeheader()
    for row in rows:
        table.writerow({name: csv_cell(cell) for name, cell in asdict(row).items()})
    return text.getvalue()


def as_json(rows: Iterable[DataclassInstance]) -> str:
    """The rows as a JSON list of objects."""
    return json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n"


def as_parquet(rows: Sequence[ExportRow]) -> bytes:
    """The rows as a Parquet table; a first look that was not taken is null."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: [getattr(row, name) for row in rows] for name in columns_of(rows)}
    columns["first_look_seconds"] = [
        None if cell == "" else cell for cell in columns["first_look_seconds"]
    ]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, _parquet_schema(rows)), file)
    return file.getvalue()


def _parquet_schema(rows: Sequence[ExportRow]) -> Any:
    import pyarrow

    types = {"int": pyarrow.int64(), "str": pyarrow.string(), "float": pyarrow.float64()}
    # annotations are text here, `float | str` a number or nothing
    kind = type(rows[0]) if rows else ExportRow
    return pyarrow.schema(
        [(field.name, types[str(field.type).partition(" ")[0]]) for field in fields(kind)]
    )


def _with_slabs(row: ExportRow, grid: Grid) -> VolumeRow:
    def slabs(squares: str) -> str:
        per_slab = grid.plane.squares
        return squares_text(sorted({(n - 1) // per_slab + 1 for n in grid.read(squares)}))

    given = {field.name: getattr(row, field.name) for field in fields(ExportRow)}
    if grid.slabs is None:
        return VolumeRow(**given, slabs="", misleading_slabs="")
    return VolumeRow(**given, slabs=slabs(row.squares), misleading_slabs=slabs(row.misleading))


def _rows(store: Store, round_: Round) -> list[ExportRow]:
    cases = {case.id: case for case in store.cases(round_.id)}
    readings, looks = store.readings(round_.id), first_looks(store, round_.id)
    newest = {(one.case, one.reader): one.id for one in readings}
    return [
        _row(
            round_,
            cases[one.case],
            one,
            looks.get((one.case, one.reader)),
            final=newest[one.case, one.reader] == one.id,
        )
        for one in readings
    ]


def _row(
    round_: Round, case: Case, reading: Reading, look: FirstLook | None, *, final: bool
) -> ExportRow:
    before = reading.squares_before
    return ExportRow(
        run=round_.run,
        case=case.number,
        key=case.key,
        epoch=round_.epoch,
        truth=case.true_name,
        predicted=case.predicted_name,
        confidence=round(case.confidence, 6),
        reader=reading.reader,
        verdict=reading.verdict,
        squares=squares_text(reading.squares),
        squares_before="" if before is None else squares_text(before) or NONE,
        misleading=squares_text(reading.misleading),
        reason=reading.reason,
        seconds=reading.seconds,
        created=reading.created,
        final="yes" if final else "no",
        first_look_seconds="" if look is None else look.seconds,
        first_look_created="" if look is None else look.created,
    )
