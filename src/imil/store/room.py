"""What the reading room asks of the store: cases without their pixels, pixels as they lie."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, select, update

from imil.cases import Reading
from imil.errors import RoundClosed
from imil.store import schema
from imil.store.access import Visitor, touch
from imil.store.audit import record
from imil.store.clock import now
from imil.store.readings import IdTaken, keep
from imil.store.store import Store

Which = Literal["predicted", "true"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Packed:
    """An array as it lies in the store: raw little-endian values, deflated."""

    data: bytes
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FirstLook:
    """What a reader chose before the model's opinion was shown."""

    id: str
    case: str
    reader: str
    squares: tuple[int, ...]
    seconds: float


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
        found = query.where(schema.rounds.c.run == run).order_by(schema.rounds.c.epoch)
        return [dict(row) for row in db.execute(found).mappings()]


def cases(store: Store, round_id: str) -> list[Row]:
    """What can be said of a round's cases without reading pixels or heat-maps, in order."""
    case, image = schema.cases.c, schema.images.c
    columns = (case.id, case.number, case.label, case.predicted, case.confidence, case.earlier)
    shape = (case.cam_shape, case.image, image.dtype, image.shape, image.low, image.high)
    query = (
        select(*columns, *shape)
        # a case whose image is gone is still one of the round's: it can be skipped
        .join(schema.images, image.sha256 == case.image, isouter=True)
        .where(case.round == round_id)
        .order_by(case.number)
    )
    with store.read() as db:
        return [dict(row) for row in db.execute(query).mappings()]


def case(store: Store, run: str, epoch: int, number: int) -> Row | None:
    """A case of a run with its round's settings and state, or None."""
    with store.read() as db:
        row = db.execute(_case(run, epoch, number)).mappings().one_or_none()
    return dict(row) if row else None


def image(store: Store, run: str, sha256: str) -> Packed | None:
    """An image of one of the run's cases as it lies in the store, or None."""
    shown = (
        select(schema.cases.c.id)
        .join(schema.rounds, schema.rounds.c.id == schema.cases.c.round)
        .where(schema.cases.c.image == sha256, schema.rounds.c.run == run)
    )
    query = select(schema.images).where(schema.images.c.sha256 == sha256, shown.exists())
    with store.read() as db:
        row = db.execute(query).one_or_none()
    return None if row is None else Packed(row.pixels, row.dtype, tuple(row.shape))


def heat_map(store: Store, case_id: str, which: Which) -> Packed:
    """A case's heat-map as it lies in the store."""
    table = schema.cases.c
    data = table.cam_predicted if which == "predicted" else table.cam_true
    with store.read() as db:
        row = db.execute(select(data, table.cam_shape).where(table.id == case_id)).one()
    return Packed(row[0], "float32", tuple(row[1]))


def readings(store: Store, round_id: str, reader: str | None = None) -> dict[str, Reading]:
    """Case id to the reader's newest reading of it."""
    found = store.readings(round_id)
    return {one.case: one for one in found if reader is None or one.reader == reader}


def read_by(store: Store, round_id: str) -> dict[str, int]:
    """Reader to the number of cases of the round that they have read."""
    found = {(one.reader, one.case) for one in store.readings(round_id)}
    return dict(Counter(reader for reader, _case in found))


def looks(store: Store, round_id: str, reader: str) -> dict[str, FirstLook]:
    """Case id to the reader's first look at it."""
    table, case = schema.first_looks, schema.cases.c
    query = select(table).join(schema.cases, case.id == table.c.case)
    with store.read() as db:
        rows = db.execute(query.where(case.round == round_id, table.c.reader == reader))
        return {row.case: _look(row) for row in rows}


def look(store: Store, case_id: str, reader: str) -> FirstLook | None:
    """The reader's first look at a case, if there was one."""
    with store.read() as db:
        return _first(db, case_id, reader)


def add_look(store: Store, who: Visitor, where: Row, look: FirstLook) -> FirstLook:
    """The first look that stands: this one, unless there was one before.

    Args:
        where: the case, as `case` gives it.
    Raises:
        RoundClosed: the round takes no more.
        IdTaken: the id belongs to a first look at another case.
    """
    with store.write() as db:
        earlier = _first(db, look.case, look.reader)
        if earlier is not None:
            return earlier
        _must_be_open(db, look.case)
        taken = select(schema.first_looks.c.id).where(schema.first_looks.c.id == look.id)
        if db.execute(taken).first():
            raise IdTaken(f"the id {look.id} belongs to another first look: give it its own")
        row = look.__dict__ | {"squares": list(look.squares), "created": now()}
        db.execute(schema.first_looks.insert().values(row))
        touch(db, who)
        said = " ".join(map(str, look.squares))
        detail = f"round {where['epoch']}, case {where['number']}: {said}"
        record(db, who.run, who.name, "first look", detail)
    return look


def add_reading(store: Store, who: Visitor, where: Row, reading: Reading) -> int:
    """How many cases of the round the reader has read, this one included, once it is on disk.

    Args:
        where: the case, as `case` gives it.
    Raises:
        RoundClosed: the round takes no more.
        IdTaken: the id belongs to another reading.
        SquareError, SettingsError: the reading makes no sense.
    """
    theirs = schema.readings.c.reader == who.name
    with store.write() as db:
        before = db.execute(_count().where(theirs, schema.readings.c.case == reading.case)).scalar()
        if keep(db, reading):
            said = " ".join([reading.verdict, *map(str, sorted(set(reading.squares)))])
            detail = f"round {where['epoch']}, case {where['number']}: {said}"
            record(db, who.run, who.name, "change" if before else "reading", detail)
            touch(db, who)
        inside = _count().join(schema.cases, schema.cases.c.id == schema.readings.c.case)
        read = db.execute(inside.where(theirs, schema.cases.c.round == where["round"])).scalar()
    return int(read or 0)


def close(store: Store, who: Visitor, round_id: str, epoch: int, detail: str) -> None:
    """Close a round for good. One that is closed stays as it is."""
    table = schema.rounds
    with store.write() as db:
        still = update(table).where(table.c.id == round_id, table.c.state == "open")
        if db.execute(still.values(state="closed", closed=now())).rowcount:
            record(db, who.run, who.name, "close", f"round {epoch}: {detail}")


def _case(run: str, epoch: int, number: int) -> Select[Any]:
    case, round_ = schema.cases.c, schema.rounds.c
    columns = (case.id, case.round, case.number, case.label, case.predicted, case.confidence)
    more = (case.image, case.cam_shape, round_.epoch, round_.settings, round_.state)
    others = schema.cases.alias()
    inside = select(func.count()).where(others.c.round == round_.id).scalar_subquery()
    joined = select(*columns, *more, inside.label("cases")).join(
        schema.rounds, round_.id == case.round
    )
    return joined.where(round_.run == run, round_.epoch == epoch, case.number == number)


def _count() -> Select[Any]:
    """How many cases have readings."""
    return select(func.count(schema.readings.c.case.distinct()))


def _first(db: Connection, case_id: str, reader: str) -> FirstLook | None:
    table = schema.first_looks
    query = select(table).where(table.c.case == case_id, table.c.reader == reader)
    row = db.execute(query).one_or_none()
    return None if row is None else _look(row)


def _look(row: Any) -> FirstLook:
    return FirstLook(row.id, row.case, row.reader, tuple(row.squares), row.seconds)


def _must_be_open(db: Connection, case_id: str) -> None:
    state = select(schema.rounds.c.state).join(
        schema.cases, schema.cases.c.round == schema.rounds.c.id
    )
    found = db.execute(state.where(schema.cases.c.id == case_id)).scalar_one()
    if found != "open":
        raise RoundClosed(f"the round is {found}: it takes no more readings")
