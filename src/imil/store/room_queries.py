"""The reading room's queries: cases without pixels, and pixels compressed as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, func, select

from imil.cases import Reading
from imil.errors import RoundClosed
from imil.square_text import signed_squares, squares_text
from imil.store import schema
from imil.store.audit import record
from imil.store.clock import closing_time, is_past, now
from imil.store.invitations import Visitor, touch
from imil.store.reading_insert import IdTaken, insert_reading
from imil.store.round_state import refuse
from imil.store.statements import insert, lock_round, retry_interrupted
from imil.store.store import Store

Which = Literal["predicted", "true"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Packed:
    """An array as it is stored: raw little-endian values, deflated."""

    data: bytes
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FirstLook:
    """The squares that a reader selected before the model's opinion was shown."""

    id: str
    case: str
    reader: str
    squares: tuple[int, ...]
    seconds: float


# Statements of the most frequent requests are built once: executing `_CASE` takes 0.2 ms of
# processor time, and building it for each request would make that 1.4 ms.
_IN_RUN = (
    select(schema.cases.c.id)
    .join(schema.rounds, schema.rounds.c.id == schema.cases.c.round)
    .where(schema.cases.c.image == schema.images.c.sha256, schema.rounds.c.run == bindparam("of"))
)
_IMAGE = select(schema.images.c.pixels, schema.images.c.dtype, schema.images.c.shape).where(
    schema.images.c.sha256 == bindparam("sha256"), _IN_RUN.exists()
)
_HEAT = {
    which: select(column.label("data"), schema.cases.c.cam_shape).where(
        schema.cases.c.id == bindparam("case_id")
    )
    for which, column in (
        ("predicted", schema.cases.c.cam_predicted),
        ("true", schema.cases.c.cam_true),
    )
}
_OTHERS = schema.cases.alias()
_CASE = (
    select(
        schema.cases.c.id,
        schema.cases.c.round,
        schema.cases.c.number,
        schema.cases.c.label,
        schema.cases.c.predicted,
        schema.cases.c.confidence,
        schema.cases.c.image,
        schema.cases.c.cam_shape,
        schema.rounds.c.epoch,
        schema.rounds.c.settings,
        schema.rounds.c.state,
        schema.progress.c.protocol,
        schema.first_looks.c.squares.label("looked"),
        select(func.count())
        .where(_OTHERS.c.round == schema.rounds.c.id)
        .scalar_subquery()
        .label("cases"),
    )
    .join(schema.rounds, schema.rounds.c.id == schema.cases.c.round)
    .outerjoin(schema.progress, schema.progress.c.run == schema.rounds.c.run)
    .outerjoin(
        schema.first_looks,
        (schema.first_looks.c.case == schema.cases.c.id)
        & (schema.first_looks.c.reader == bindparam("reader")),
    )
    .where(
        schema.rounds.c.run == bindparam("of"),
        schema.rounds.c.epoch == bindparam("epoch"),
        schema.cases.c.number == bindparam("number"),
    )
)
# how many cases of a round a reader has read, and how often this one
_READ = (
    select(
        func.count(schema.readings.c.case.distinct()),
        func.count().filter(schema.readings.c.case == bindparam("case_id")),
    )
    .join(schema.cases, schema.cases.c.id == schema.readings.c.case)
    .where(
        schema.cases.c.round == bindparam("round_id"),
        schema.readings.c.reader == bindparam("reader"),
    )
)


@retry_interrupted
def rounds(store: Store, run: str, reader: str) -> list[Row]:
    """The rounds of a run in order, each with how many cases it has and the reader has read."""
    cases, readings = schema.cases.c, schema.readings.c
    inside = select(func.count()).where(cases.round == schema.rounds.c.id)
    read = (
        select(func.count(readings.case.distinct()))
        .join(schema.cases, cases.id == readings.case)
        .where(cases.round == schema.rounds.c.id, readings.reader == reader)
    )
    query = select(
        schema.rounds, inside.scalar_subquery().label("cases"), read.scalar_subquery().label("read")
    )
    with store.read() as db:
        ordered = query.where(schema.rounds.c.run == run).order_by(schema.rounds.c.epoch)
        return [dict(row) for row in db.execute(ordered).mappings()]


@retry_interrupted
def cases(store: Store, round_id: str) -> list[Row]:
    """A round's cases in order, without pixels and heat-maps."""
    case, image = schema.cases.c, schema.images.c
    columns = (
        case.id,
        case.number,
        case.label,
        case.predicted,
        case.confidence,
        case.earlier,
        case.geometry,
    )
    shape = (case.cam_shape, case.image, image.dtype, image.shape, image.low, image.high)
    query = (
        select(*columns, *shape)
        # a case whose image is missing is still part of the round: it can be skipped
        .join(schema.images, image.sha256 == case.image, isouter=True)
        .where(case.round == round_id)
        .order_by(case.number)
    )
    with store.read() as db:
        return [dict(row) for row in db.execute(query).mappings()]


@retry_interrupted
def case(store: Store, who: Visitor, epoch: int, number: int) -> Row | None:
    """A case of the visitor's run with its round's settings and state, or None.

    `looked` are the squares of the visitor's first look, `shown` is whether they may see the
    model's opinion.
    """
    parameters = {"of": who.run, "epoch": epoch, "number": number, "reader": who.name}
    with store.read() as db:
        row = db.execute(_CASE, parameters).mappings().one_or_none()
    if row is None:
        return None
    blind = row["protocol"] == "blind-first"
    return dict(row) | {"shown": not blind or row["looked"] is not None}


@retry_interrupted
def image(store: Store, run: str, sha256: str) -> Packed | None:
    """An image of one of the run's cases as it is stored, deflated, or None."""
    with store.read() as db:
        row = db.execute(_IMAGE, {"of": run, "sha256": sha256}).one_or_none()
    return None if row is None else Packed(row.pixels, row.dtype, tuple(row.shape))


@retry_interrupted
def heat_map(store: Store, case_id: str, which: Which) -> Packed:
    """A case's heat-map as it is stored, deflated."""
    with store.read() as db:
        row = db.execute(_HEAT[which], {"case_id": case_id}).one()
    return Packed(row.data, "float32", tuple(row.cam_shape))


def readings(store: Store, round_id: str, reader: str | None = None) -> dict[str, Reading]:
    """Case id to the reader's newest reading of it."""
    rows = store.readings(round_id)
    return {one.case: one for one in rows if reader is None or one.reader == reader}


@retry_interrupted
def looks(store: Store, round_id: str, reader: str) -> dict[str, FirstLook]:
    """Case id to the reader's first look at it."""
    table, case = schema.first_looks, schema.cases.c
    query = select(table).join(schema.cases, case.id == table.c.case)
    with store.read() as db:
        rows = db.execute(query.where(case.round == round_id, table.c.reader == reader))
        return {row.case: _look(row) for row in rows}


@retry_interrupted
def add_look(store: Store, who: Visitor, where: Row, look: FirstLook) -> FirstLook:
    """Store a first look; returns the one that counts: the reader's earlier one, if there is one.

    Args:
        where: the case, as `case` gives it.
    Raises:
        RoundClosed: the round takes no more.
        IdTaken: the id belongs to a first look at another case, or with other squares.
    """
    with store.write() as db:
        lock_round(db, where["round"])
        earlier = _first(db, look.case, look.reader)
        if earlier is not None:
            if earlier.id == look.id and earlier.squares != look.squares:
                raise IdTaken(
                    "a first look of this id is stored with other squares "
                    f"({squares_text(earlier.squares)}): reload the page"
                )
            return earlier
        _must_be_open(db, look.case)
        row = look.__dict__ | {"squares": list(look.squares), "created": now()}
        new = insert(db, schema.first_looks).on_conflict_do_nothing(index_elements=["id"])
        if not db.execute(new, row).rowcount:
            raise IdTaken(f"the id {look.id} belongs to another first look: give it its own")
        touch(db, who)
        squares = " ".join(map(str, look.squares))
        detail = f"round {where['epoch']}, case {where['number']}: {squares}"
        record(db, who.run, who.name, "first look", detail)
    return look


def add_reading(store: Store, who: Visitor, where: Row, reading: Reading) -> int:
    """How many cases of the round the reader has read, this one included, once it is on disk.

    Args:
        where: the case, as `case` gives it.
    Raises:
        RoundClosed: the round takes no more, which is noted in the audit.
        IdTaken: the id belongs to another reading.
        SquareError, SettingsError: the reading is invalid.
    """
    try:
        return _add_reading(store, who, where, reading)
    except RoundClosed:
        refuse(store, who.run, where["epoch"], where["number"], who.name, _text(reading))
        raise


@retry_interrupted
def _add_reading(store: Store, who: Visitor, where: Row, reading: Reading) -> int:
    with store.write() as db:
        new = insert_reading(db, reading)
        parameters = {"reader": who.name, "round_id": where["round"], "case_id": reading.case}
        read, times = db.execute(_READ, parameters).one()
        if new:
            detail = f"round {where['epoch']}, case {where['number']}: {_text(reading)}"
            record(db, who.run, who.name, "change" if times > 1 else "reading", detail)
            touch(db, who)
    return int(read)


def _text(reading: Reading) -> str:
    marks = [sorted(set(some)) for some in (reading.squares, reading.misleading)]
    return f"{reading.verdict} {signed_squares(*marks)}".rstrip()


def _first(db: Connection, case_id: str, reader: str) -> FirstLook | None:
    table = schema.first_looks
    query = select(table).where(table.c.case == case_id, table.c.reader == reader)
    row = db.execute(query).one_or_none()
    return None if row is None else _look(row)


def _look(row: Any) -> FirstLook:
    return FirstLook(row.id, row.case, row.reader, tuple(row.squares), row.seconds)


def _must_be_open(db: Connection, case_id: str) -> None:
    table = schema.rounds.c
    query = select(table.state, table.opened, table.settings).join(
        schema.cases, schema.cases.c.round == table.id
    )
    row = db.execute(query.where(schema.cases.c.id == case_id)).one()
    if row.state != "open":
        raise RoundClosed(f"the round is {row.state}: it takes no more readings")
    if is_past(closing_time(row.opened, row.settings.get("deadline"))):
        raise RoundClosed("the round's deadline has passed: it takes no more readings")
