"""What every reader answered, for the owner: case by reader, and as a CSV table."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import Response

from imil.cases import Reading, RoundSettings
from imil.reading_export import PAGE_COLUMNS, FirstLook, as_csv, export_rows, first_looks
from imil.shown_grids import check_is_shown
from imil.store import room_queries
from imil.store.audit import record
from imil.web.case_schemas import grid_info, reading_response
from imil.web.routes.reading import class_names, find_round
from imil.web.schemas import (
    ERROR_RESPONSES,
    AnswerResponse,
    Epoch,
    FirstLookResponse,
    ResultCase,
    RoundResults,
)
from imil.web.sign_in import require_owner, store_of

router = APIRouter(prefix="/api", tags=["owner"], responses=ERROR_RESPONSES)


@router.get("/rounds/{epoch}/results")
def results(epoch: Epoch, request: Request) -> RoundResults:
    """Every reader's answer to every case of a round."""
    store, visitor = store_of(request), require_owner(request)
    summary = find_round(store, visitor, epoch)
    settings = RoundSettings.from_dict(summary["settings"])
    check_is_shown(settings.grid)
    grid = grid_info(settings)
    readings, looks = store.readings(summary["id"]), first_looks(store, summary["id"])
    used = {} if summary["state"] == "open" else store.merged(summary["id"])
    names = class_names(store, visitor.run)
    readers = dict.fromkeys([*(one.reader for one in readings), *(who for _, who in looks)])
    cases = []
    for row in room_queries.cases(store, summary["id"]):
        of_case = [one for one in readings if one.case == row["id"]]
        answers = [_answer(name, row["id"], of_case, looks) for name in readers]
        height, width, *_ = row["shape"] or (1, 1)  # None: the image is missing
        counts = used.get(row["id"])
        cases.append(
            ResultCase(
                number=row["number"],
                label_name=names[row["label"]],
                predicted_name=names[row["predicted"]],
                confidence=row["confidence"],
                height=height,
                width=width,
                answers=answers,
                used=None if counts is None else reading_response(counts.reading),
                shares=None if counts is None or counts.shares is None else list(counts.shares),
            )
        )
    return RoundResults(
        number=summary["number"],
        epoch=epoch,
        state=summary["state"],
        rule=settings.panel.fusion,
        grid=grid,
        readers=list(readers),
        cases=cases,
    )


@router.get("/readings.csv", response_class=Response)
def readings_csv(request: Request) -> Response:
    """Every reading of the run as a CSV table, without what names a patient."""
    store, visitor = store_of(request), require_owner(request)
    text = as_csv(export_rows(store, visitor.run), PAGE_COLUMNS)
    with store.write() as db:
        record(db, visitor.run, visitor.name, "export", "readings, as csv, from the page")
    headers = {"Content-Disposition": 'attachment; filename="readings.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _answer(
    reader: str, case: str, of_case: list[Reading], looks: Mapping[tuple[str, str], FirstLook]
) -> AnswerResponse:
    given = [one for one in of_case if one.reader == reader]
    look = looks.get((case, reader))
    first = None
    if look is not None:
        squares, seconds, created = list(look.squares), look.seconds, look.created
        first = FirstLookResponse(squares=squares, seconds=seconds, created=created)
    return AnswerResponse(
        reader=reader,
        reading=reading_response(given[-1]) if given else None,
        first_look=first,
        changes=max(0, len(given) - 1),
    )
