"""The reader's part of the API: session, rounds, first looks and readings."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

from fastapi import APIRouter, HTTPException, Request

from imil.cases import Reading, RoundSettings
from imil.errors import StoreError
from imil.merging import by_case, newest_answers
from imil.store import Store, invitations, room_queries, round_state
from imil.store.clock import closing_time, is_past, now
from imil.store.invitations import Visitor
from imil.store.room_queries import FirstLook
from imil.store.round_waiting import waiting
from imil.store.run_progress import Progress
from imil.web.case_schemas import case_response, opinion, reading_response, round_response
from imil.web.routes.pixels import asked_of, find_case
from imil.web.schemas import (
    ERROR_RESPONSES,
    Epoch,
    FinishRequest,
    FirstLookRequest,
    Id,
    Number,
    OpinionRevealed,
    ReadingRequest,
    ReadingStored,
    Result,
    RoundFinished,
    RoundResponse,
    RoundSummary,
    Selection,
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
    """A round's cases for this visitor, in their order; by default the round's own.

    That has the model's most confident mistake first.
    """
    store, visitor = store_of(request), current_visitor(request)
    summary = find_round(store, visitor, epoch)
    blind = Progress(store).protocol(visitor.run) == "blind-first"
    own_readings = room_queries.readings(store, summary["id"], visitor.name)
    first_looks = room_queries.looks(store, summary["id"], visitor.name) if blind else {}
    names = class_names(store, visitor.run)
    rows = {row["number"]: row for row in room_queries.cases(store, summary["id"])}
    cases = [rows[number] for number in asked_of(store, visitor, summary["id"], summary)]
    selections = _selections(store, visitor, summary)
    responses = [
        case_response(
            case,
            epoch,
            names,
            own_readings.get(case["id"]),
            show_opinion=not blind or case["id"] in first_looks,
            first_look=first_looks[case["id"]].squares if case["id"] in first_looks else None,
            selections=selections.get(case["id"]),
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
    return OpinionRevealed(opinion=opinion(case, epoch, class_names(store, visitor.run)))


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
    return ReadingStored(read=read, cases=len(asked_of(store, visitor, case["round"], case)))


@router.post("/rounds/{epoch}/finish")
def finish(epoch: Epoch, given: FinishRequest, request: Request) -> RoundFinished:
    """Finish the visitor's own reading; the last one of those that it waits for closes the round.

    428 if every case is skipped, until the request says that this is meant.
    """
    store, visitor = store_of(request), current_visitor(request)
    summary = find_round(store, visitor, epoch)
    done = round_state.finish(
        store, visitor.run, epoch, summary["id"], visitor.name, skips_all=given.skips_all
    )
    return RoundFinished(state=done.state, waits_for=done.waiting.count)


def round_summaries(store: Store, visitor: Visitor) -> list[RoundSummary]:
    """The rounds of the visitor's run, numbered from 1, after closing those past their deadline."""
    rows = _rounds(store, visitor)
    summaries = [_summary(store, visitor, number, row) for number, row in enumerate(rows, start=1)]
    return [one for one in summaries if one.cases or not _is_arbiter(visitor, rows[one.number - 1])]


def _is_arbiter(visitor: Visitor, row: room_queries.Row) -> bool:
    panel = RoundSettings.from_dict(row["settings"]).panel
    return visitor.kind == "reader" and visitor.name == panel.arbiter


def _selections(
    store: Store, visitor: Visitor, row: room_queries.Row
) -> dict[str, list[Selection]]:
    """Case id -> the readers' answers, for the arbiter; nobody else sees another's."""
    if not _is_arbiter(visitor, row):
        return {}
    return {
        case: [
            Selection(reader=one.reader, reading=reading_response(one))
            for one in newest_answers(given)
            if one.reader != visitor.name
        ]
        for case, given in by_case(store.readings(row["id"])).items()
    }


def _summary(store: Store, visitor: Visitor, number: int, row: room_queries.Row) -> RoundSummary:
    still = waiting(store, row["id"]) if row["state"] == "open" else None
    return RoundSummary(
        id=str(row["epoch"]),
        number=number,
        epoch=row["epoch"],
        state=row["state"],
        cases=len(asked_of(store, visitor, row["id"], row)),
        read=row["read"],
        finished=still is None or visitor.name in still.finished,
        waits_for=0 if still is None else still.count,
        closes=None if still is None else _closing_time(row),
    )


def _closing_time(row: room_queries.Row) -> str | None:
    return closing_time(row["opened"], row["settings"].get("deadline"))


def _rounds(store: Store, visitor: Visitor) -> list[room_queries.Row]:
    """The rounds of the visitor's run, after closing those whose deadline has passed."""
    rows = room_queries.rounds(store, visitor.run, visitor.name)
    if not any(row["state"] == "open" and is_past(_closing_time(row)) for row in rows):
        return rows
    with suppress(StoreError):  # closed at the next request then; no reading is taken meanwhile
        round_state.close_all_overdue(store, visitor.run)
    return room_queries.rounds(store, visitor.run, visitor.name)


def find_round(store: Store, visitor: Visitor, epoch: int) -> room_queries.Row:
    """A round of the visitor's run with its number, or 404; closed if past its deadline."""
    for number, row in enumerate(_rounds(store, visitor), start=1):
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


def class_names(store: Store, run: str) -> list[str]:
    """The names of the run's classes."""
    names: list[str] = next(row["class_names"] for row in store.runs() if row["name"] == run)
    return names
