"""Every failure as one sentence for a person and, where the owner can help, one line in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from imil.errors import ImilError, NotFound, RoundClosed, SettingsError, SquareError, StoreError
from imil.store.invitations import LinkExpired, UnknownLink
from imil.store.reading_insert import IdTaken

log = logging.getLogger("imil.web")

# Shown for anything wrong with the store itself; the true cause names paths, so it goes to the
# log of whoever runs the server.
LATER = "The server cannot reach its store just now: try again in a moment."
SAID: dict[int, str] = {
    404: "There is nothing here: go back to the start page.",
    405: "This address cannot be used in this way: reload the page.",
}
STATUS: dict[type[ImilError], int] = {
    LinkExpired: 410,
    UnknownLink: 404,
    NotFound: 404,
    RoundClosed: 409,
    IdTaken: 409,
    SquareError: 422,
    SettingsError: 422,
}
# for errors whose own words name paths or ids
OURS: dict[type[ImilError], str] = {
    NotFound: "This image is not, or no longer, in the store: skip the case and tell the owner.",
    RoundClosed: "This round is closed: it takes no more readings, and those sent before count.",
}


def install(app: FastAPI) -> None:
    """Answer every failure with `{"detail": "<one sentence>"}`."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    app.add_exception_handler(ImilError, _known)
    app.add_exception_handler(SQLAlchemyError, _store)
    app.add_exception_handler(Exception, _fault)


def trouble(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that says so."""
    return JSONResponse({"detail": sentence}, status, headers)


def status_of(error: ImilError) -> int:
    """The status that fits; 423 where trying again later may help."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 423)


def reworded(errors: Sequence[Any]) -> str:
    """One sentence from what pydantic found: the field, what it was, what was expected."""
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "path", "query")]
    name = ".".join(place) or "the request"
    if first["type"] == "json_invalid":
        return "The request is no JSON: send an object such as {}."
    said = str(first["msg"]).replace("Input should", "it should")
    more = f" ({len(errors) - 1} more like it)" if len(errors) > 1 else ""
    return f"{_plain(name)} is {_shown(first.get('input'))}: {_plain(said)}{more}."


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    if value is None:
        return "missing"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return _plain(text if len(text) <= 40 else text[:40] + "…")


def _plain(text: str) -> str:
    """Without anything that cannot be sent or printed."""
    sent = text.encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in sent)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    default = error.status_code in SAID and error.detail in ("Not Found", "Method Not Allowed")
    sentence = SAID[error.status_code] if default else str(error.detail)
    return trouble(error.status_code, sentence, error.headers)


async def _wrong_shape(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return trouble(422, reworded(error.errors()))


async def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ImilError)
    status = status_of(error)
    if status == 423:
        return await _store(request, error)
    sentence = next((said for kind, said in OURS.items() if isinstance(error, kind)), str(error))
    return trouble(status, sentence[0].upper() + sentence[1:])


async def _store(request: Request, error: Exception) -> JSONResponse:
    cause = str(error) if isinstance(error, StoreError) else str(error.__cause__ or error)
    log.warning("%s %s: %s", request.method, request.url.path, cause.splitlines()[0])
    return trouble(423, LATER, {"Retry-After": "5"})


async def _fault(_request: Request, _error: Exception) -> JSONResponse:
    # a mistake of ours; uvicorn logs the traceback
    return trouble(500, "The server made a mistake and logged it: try again, then tell its owner.")
