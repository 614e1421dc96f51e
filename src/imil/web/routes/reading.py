"""The reader's part of the API: session, rounds, first looks and readings."""

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
from imil.web.case_schemas import case_response, opinion, round_response
from imil.web.routes.pixels import find_case
from imil.web.schemas import (
    ERROR_RESPONSES,
    EmptyRequest,
    Epoch,
    FirstLookRequest,
    Id,
    Number,
    OpinionRevealed,
    ReadingRequest,
    ReadingStored,
    Result,
    RoundResponse,
    RoundStateResponse,
    RoundSummary,
    Session,
    TrainingStatus,
)
from imil.web.sign_in import current_visitor, store_of

router = APIRouter(prefix="/api", tags=["reading"], responses=ERROR_RESPONSES)


@router.get("/session")
def session(request: Request) -> Session:
    """The visitor, the rounds to read and the state of the training."""
    store, visitor = store_of(request), current_visitor(request)
    if visitor.last_seen < now(seconds=-invitations.VISIT_INTERVAL):
        with (
            suppress(StoreError),
            store.write() as db,
        ):  # the time of the visit may be lost, the response not
            invitations.touch(db, visitor)
    return Session(
        kind=visitor.kind,
        name=visitor.name,
        run=visitor.run,
        protocol=Progress(store).protocol(visitor.run),
        rounds=round_summaries(store, visitor),
        training=training(store, visitor.run),
        result=result(store, visitor.run),
    )


@router.get("/rounds/{epoch}")
def get_round(epoch: Epoch, request: Request) -> RoundResponse:
    """A round in its own order: the model's most confident mistake first, for every reader."""
    store, visitor = store_of(request), current_visitor(request)
    summary = find_round(store, visitor, epoch)
    blind = Progress(store).protocol(visitor.run) == "blind-first"
    own_readings = room_queries.readings(store, summary["id"], visitor.name)
    first_looks = room_queries.looks(store, summary["id"], visitor.name) if blind else {}
    names = _class_names(store, visitor.run)
    cases = room_queries.cases(store, summary["id"])
    responses = [
        case_response(
            case,
            epoch,
            names,
            own_readings.get(case["id"]),
            show_opinion=not blind or case["id"] in first_looks,
            first_look=first_looks[case["id"]].squares if case["id"] in first_looks else None,
        )
        for case in cases
    ]
    return round_response(summary, names, cases, responses)


@router.put("/rounds/{epoch}/cases/{number}/first-look/{look}")
def first_look(
    epoch: Epoch, number: Number, look: Id, given: FirstLookRequest, request: Request
) -> OpinionRevealed:
    """Store the squares selected before the prediction is shown, then return it; only once."""
    store, visitor = store_of(request), current_visitor(request)
    case = find_case(store, visitor, epoch, number)
    if case["protocol"] != "blind-first":
        raise HTTPException(409, "This study shows predictions from the start: reload the page.")
    squares = RoundSettings.from_dict(case["settings"]).grid.check(given.squares)
    new_look = FirstLook(look, case["id"], visitor.name, squares, given.seconds)
    room_queries.add_look(store, visitor, case, new_look)
    return OpinionRevealed(opinion=opinion(case, epoch, _class_names(store, visitor.run)))


@router.put("/rounds/{epoch}/cases/{number}/readings/{reading}")
def add_reading(
    epoch: Epoch, number: Number, reading: Id, given: ReadingRequest, request: Request
) -> ReadingStored:
    """Store a reading; it is on disk before the response is sent. An id is stored once."""
    store, visitor = store_of(request), current_visitor(request)
    case = find_case(store, visitor, epoch, number)
    first_look = case["looked"]
    before = given.squares_before if first_look is None else first_look
    new_reading = Reading(
        case=case["id"],
        reader=visitor.name,
        verdict=given.verdict,
        squares=tuple(given.squares),
        reason=given.reason,
        seconds=given.seconds,
        squares_before=None if before is None else tuple(before),
        misleading=tuple(given.misleading),
        id=reading,
    )
    read = room_queries.add_reading(store, visitor, case, new_reading)
    return ReadingStored(read=read, cases=case["cases"])


@router.post("/rounds/{epoch}/finish")
def finish(epoch: Epoch, _body: EmptyRequest, request: Request) -> RoundStateResponse:
    """Close the round, if all its cases are read by every reader who has started."""
    store, visitor = store_of(request), current_visitor(request)
    summary = find_round(store, visitor, epoch)
    if summary["state"] == "open":
        _check_all_read(store, visitor, summary)
        _check_others_finished(store, visitor, summary)
        detail = f"{summary['cases']} of {summary['cases']} cases read"
        room_queries.close(store, visitor, summary["id"], epoch, detail)
    return RoundStateResponse(state=find_round(store, visitor, epoch)["state"])


def round_summaries(store: Store, visitor: Visitor) -> list[RoundSummary]:
    """The rounds of the visitor's run, numbered from 1."""
    return [
        RoundSummary(
            id=str(row["epoch"]),
            number=number,
            epoch=row["epoch"],
            state=row["state"],
            cases=row["cases"],
            read=row["read"],
        )
        for number, row in enumerate(room_queries.rounds(store, visitor.run, visitor.name), start=1)
    ]


def find_round(store: Store, visitor: Visitor, epoch: int) -> room_queries.Row:
    """A round of the visitor's run with its number, or 404."""
    for number, row in enumerate(room_queries.rounds(store, visitor.run, visitor.name), start=1):
        if row["epoch"] == epoch:
            return row | {"number": number}
    raise HTTPException(404, f"No round {epoch}: go back to the start page.")


def training(store: Store, run: str) -> TrainingStatus:
    """State and epoch of the training."""
    return TrainingStatus(**asdict(Progress(store).training(run)))


def result(store: Store, run: str) -> Result | None:
    """Metrics before the first round and at the end, once the training has finished."""
    progress = Progress(store)
    results = progress.results(run)
    if len(results) < 2 or progress.training(run).state != "finished":
        return None
    return Result(before=results[0][1], after=results[-1][1])


def _class_names(store: Store, run: str) -> list[str]:
    names: list[str] = next(row["class_names"] for row in store.runs() if row["name"] == run)
    return names


def _check_all_read(store: Store, visitor: Visitor, summary: room_queries.Row) -> None:
    own_readings = room_queries.readings(store, summary["id"], visitor.name)
    unread = [
        case["number"]
        for case in room_queries.cases(store, summary["id"])
        if case["id"] not in own_readings
    ]
    if unread:
        numbers = ", ".join(map(str, unread[:10])) + (" …" if len(unread) > 10 else "")
        word = "case" if len(unread) == 1 else "cases"
        raise HTTPException(409, f"You have not read {word} {numbers}: read or skip them first.")


def _check_others_finished(store: Store, visitor: Visitor, summary: room_queries.Row) -> None:
    """Raises: HTTPException: another reader has started and would lose the remaining cases."""
    invited = invitations.invitations(store, visitor.run)
    active_readers = {one.name for one in invited if one.good and one.kind == "reader"}
    read_counts: dict[str, Any] = room_queries.read_by(store, summary["id"])
    unfinished = [
        name
        for name in active_readers - {visitor.name}
        if read_counts.get(name, summary["cases"]) < summary["cases"]
    ]
    if unfinished:
        count = len(unfinished)
        others = "another reader is" if count == 1 else f"{count} other readers are"
        raise HTTPException(
            409,
            f"Your readings are stored, but {others} still reading: the round closes when the "
            "last one finishes, or when the owner closes it.",
        )
