"""Error responses: one sentence for the reader and, where the owner can help, a log entry."""

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
from imil.store.round_state import AllSkipped, CasesUnread, RoundApplied

log = logging.getLogger("imil.web")

# Sent for all errors of the store; the cause may name paths, so it only goes to the server's log.
STORE_UNAVAILABLE = "The server cannot access its store at the moment: try again."
DEFAULT_MESSAGES: dict[int, str] = {
    404: "Page not found: go back to the start page.",
    405: "Method not allowed: reload the page.",
}
STATUS_CODES: dict[type[ImilError], int] = {
    LinkExpired: 410,
    UnknownLink: 404,
    NotFound: 404,
    RoundClosed: 409,
    IdTaken: 409,
    CasesUnread: 409,
    RoundApplied: 409,
    AllSkipped: 428,
    SquareError: 422,
    SettingsError: 422,
}
# for errors whose messages contain paths or ids
MESSAGES: dict[type[ImilError], str] = {
    NotFound: "This image is not, or no longer, in the store: skip the case and tell the owner.",
    RoundClosed: "This round is closed: readings can no longer be added or changed.",
}


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error with `{"detail": "<one sentence>"}`."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(ImilError, _imil_error)
    app.add_exception_handler(SQLAlchemyError, _store_error)
    app.add_exception_handler(Exception, _internal_error)


def error_response(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A JSON response with the message as its detail."""
    return JSONResponse({"detail": message}, status, headers)


def status_of(error: ImilError) -> int:
    """HTTP status of an error; 423 if trying again later may help."""
    return next((code for kind, code in STATUS_CODES.items() if isinstance(error, kind)), 423)


def validation_message(errors: Sequence[Any]) -> str:
    """One sentence from pydantic's errors: field, value, what was expected."""
    first = errors[0]
    location = [str(part) for part in first["loc"] if part not in ("body", "path", "query")]
    name = ".".join(location) or "the request"
    if first["type"] == "json_invalid":
        return "The request is not valid JSON: send an object such as {}."
    message = str(first["msg"]).replace("Input should", "it should")
    more = f" ({len(errors) - 1} more like it)" if len(errors) > 1 else ""
    return (
        f"{_printable(name)} is {_format_value(first.get('input'))}: {_printable(message)}{more}."
    )


def _format_value(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    if value is None:
        return "missing"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return _printable(text if len(text) <= 40 else text[:40] + "…")


def _printable(text: str) -> str:
    """The text with a question mark for each unprintable character."""
    encoded = text.encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in encoded)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    default = error.status_code in DEFAULT_MESSAGES and error.detail in (
        "Not Found",
        "Method Not Allowed",
    )
    message = DEFAULT_MESSAGES[error.status_code] if default else str(error.detail)
    return error_response(error.status_code, message, error.headers)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(422, validation_message(error.errors()))


async def _imil_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ImilError)
    status = status_of(error)
    if status == 423:
        return await _store_error(request, error)
    message = next(
        (message for kind, message in MESSAGES.items() if isinstance(error, kind)), str(error)
    )
    end = "" if message.endswith((".", "?", "…")) else "."
    return error_response(status, message[0].upper() + message[1:] + end)


async def _store_error(request: Request, error: Exception) -> JSONResponse:
    cause = str(error) if isinstance(error, StoreError) else str(error.__cause__ or error)
    log.warning("%s %s: %s", request.method, request.url.path, cause.splitlines()[0])
    return error_response(423, STORE_UNAVAILABLE, {"Retry-After": "5"})


async def _internal_error(_request: Request, _error: Exception) -> JSONResponse:
    # a bug; uvicorn logs the traceback
    return error_response(
        500, "Internal server error: try again, or ask the owner to look into the server's log."
    )
