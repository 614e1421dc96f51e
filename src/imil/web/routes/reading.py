"""The reader's part of the API: who am I, what is there to read, here is my reading."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from imil.cases import Reading, RoundSettings
from imil.errors import StoreError
from imil.store import Store, invitations, room_queries
from imil.store.clock import now
from imil.store.invitations import Visitor
from imil.store.room_queries import FirstLook
from imil.store.run_progress import Progress
from imil.web.case_schemas import case_shape, opinion, round_shape
from imil.web.routes.pixels import find_case
from imil.web.schemas import (
    TROUBLES,
    Closed,
    Epoch,
    GivenLook,
    GivenReading,
    Id,
    Nothing,
    Number,
    Result,
    Revealed,
    RoundLine,
    RoundShape,
    Session,
    Stored,
    Training,
)
from imil.web.sign_in import signed_in, store_of

router = APIRouter(prefix="/api", tags=["reading"], responses=TROUBLES)


@router.get("/session")
def session(request: Request) -> Session:
    """Who is here, and what there is to read."""
    store, who = store_of(request), signed_in(request)
    if who.last_seen < now(seconds=-invitations.VISIT_INTERVAL):
        with suppress(StoreError), store.write() as db:  # being noted matters less than reading
            invitations.touch(db, who)
    return Session(
        kind=who.kind,
        name=who.name,
        run=who.run,
        protocol=Progress(store).protocol(who.run),
        rounds=lines(store, who),
        training=training(store, who.run),
        result=result(store, who.run),
    )


@router.get("/rounds/{epoch}")
def round_(epoch: Epoch, request: Request) -> RoundShape:
    """A round in its own order: the model's most confident mistake first, for every reader."""
    store, who = store_of(request), signed_in(request)
    line = find_round(store, who, epoch)
    blind = Progress(store).protocol(who.run) == "blind-first"
    mine = room_queries.readings(store, line["id"], who.name)
    looked = room_queries.looks(store, line["id"], who.name) if blind else {}
    names = _class_names(store, who.run)
    cases = room_queries.cases(store, line["id"])
    shapes = [
        case_shape(
            case,
            epoch,
            names,
            mine.get(case["id"]),
            shown=not blind or case["id"] in looked,
            look=looked[case["id"]].squares if case["id"] in looked else None,
        )
        for case in cases
    ]
    return round_shape(line, names, cases, shapes)


@router.put("/rounds/{epoch}/cases/{number}/first-look/{look}")
def first_look(
    epoch: Epoch, number: Number, look: Id, given: GivenLook, request: Request
) -> Revealed:
    """Keep what was chosen before the model's opinion, then reveal that. The first one stands."""
    store, who = store_of(request), signed_in(request)
    case = find_case(store, who, epoch, number)
    if case["protocol"] != "blind-first":
        raise HTTPException(409, "This study shows the model's opinion at once: reload the page.")
    squares = RoundSettings.from_dict(case["settings"]).grid.check(given.squares)
    mine = FirstLook(look, case["id"], who.name, squares, given.seconds)
    room_queries.add_look(store, who, case, mine)
    return Revealed(opinion=opinion(case, epoch, _class_names(store, who.run)))


@router.put("/rounds/{epoch}/cases/{number}/readings/{reading}")
def add_reading(
    epoch: Epoch, number: Number, reading: Id, given: GivenReading, request: Request
) -> Stored:
    """Keep a reading; once this is answered it is on disk. The same id is stored once."""
    store, who = store_of(request), signed_in(request)
    case = find_case(store, who, epoch, number)
    looked = case["looked"]  # the first one stands
    before = given.squares_before if looked is None else looked
    mine = Reading(
        case=case["id"],
        reader=who.name,
        verdict=given.verdict,
        squares=tuple(given.squares),
        reason=given.reason,
        seconds=given.seconds,
        squares_before=None if before is None else tuple(before),
        id=reading,
    )
    read = room_queries.add_reading(store, who, case, mine)
    return Stored(read=read, cases=case["cases"])


@router.post("/rounds/{epoch}/finish")
def finish(epoch: Epoch, _body: Nothing, request: Request) -> Closed:
    """Close the round: all its cases are read, and by everybody who has begun."""
    store, who = store_of(request), signed_in(request)
    line = find_round(store, who, epoch)
    if line["state"] == "open":
        _must_be_read(store, who, line)
        _must_be_alone(store, who, line)
        detail = f"{line['cases']} of {line['cases']} cases read"
        room_queries.close(store, who, line["id"], epoch, detail)
    return Closed(state=find_round(store, who, epoch)["state"])


def lines(store: Store, who: Visitor) -> list[RoundLine]:
    """The rounds of the visitor's run, numbered from 1."""
    return [
        RoundLine(
            id=str(row["epoch"]),
            number=number,
            epoch=row["epoch"],
            state=row["state"],
            cases=row["cases"],
            read=row["read"],
        )
        for number, row in enumerate(room_queries.rounds(store, who.run, who.name), start=1)
    ]


def find_round(store: Store, who: Visitor, epoch: int) -> room_queries.Row:
    """A round of the visitor's run with its number, or 404."""
    for number, row in enumerate(room_queries.rounds(store, who.run, who.name), start=1):
        if row["epoch"] == epoch:
            return row | {"number": number}
    raise HTTPException(404, f"There is no round {epoch}: go back to the start page.")


def training(store: Store, run: str) -> Training:
    """How far the training is."""
    return Training(**asdict(Progress(store).training(run)))


def result(store: Store, run: str) -> Result | None:
    """What was found before the first round and at the end, once the training has ended."""
    progress = Progress(store)
    found = progress.results(run)
    if len(found) < 2 or progress.training(run).state != "finished":
        return None
    return Result(before=found[0][1], after=found[-1][1])


def _class_names(store: Store, run: str) -> list[str]:
    names: list[str] = next(row["class_names"] for row in store.runs() if row["name"] == run)
    return names


def _must_be_read(store: Store, who: Visitor, line: room_queries.Row) -> None:
    mine = room_queries.readings(store, line["id"], who.name)
    left = [
        case["number"] for case in room_queries.cases(store, line["id"]) if case["id"] not in mine
    ]
    if left:
        named = ", ".join(map(str, left[:10])) + (" …" if len(left) > 10 else "")
        word = "case" if len(left) == 1 else "cases"
        raise HTTPException(409, f"You have not read {word} {named}: read or skip them first.")


def _must_be_alone(store: Store, who: Visitor, line: room_queries.Row) -> None:
    """Nobody else is midway: closing the round would take their remaining cases from them."""
    invited = invitations.invitations(store, who.run)
    here = {one.name for one in invited if one.good and one.kind == "reader"} - {who.name}
    counted: dict[str, Any] = room_queries.read_by(store, line["id"])
    midway = [name for name, read in counted.items() if name in here and read < line["cases"]]
    if midway:
        others = "another reader is" if len(midway) == 1 else f"{len(midway)} other readers are"
        raise HTTPException(
            409,
            f"Your readings are stored, but {others} still reading: the round closes when the "
            "last one finishes, or when the owner closes it.",
        )
