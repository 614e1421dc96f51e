"""Coming in: a link's secret for a cookie, and who asks from then on."""

from __future__ import annotations

import html
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from time import monotonic

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from imil.errors import StoreError
from imil.store import Store, invitations
from imil.store.clock import now
from imil.store.invitations import Visitor
from imil.web.error_responses import LATER, status_of
from imil.web.schemas import TROUBLES, Done, Nothing

log = logging.getLogger("imil.web")
COOKIE = "imil_session"
TRIES = 20  # wrong links from one address in a minute; a ward may share one address
MINUTE = 60.0  # seconds
ADDRESSES = 10_000  # remembered at once, so that a flood cannot fill the memory
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="dark light"><title>Reading room</title>'
    "<h1>Reading room</h1><p>{}</p></html>"
)
TOO_MANY = "Too many wrong links came from your address: wait a minute, then open yours again."

router = APIRouter(responses=TROUBLES)


@dataclass
class Attempts:
    """The wrong links of the last minute, by address."""

    _times: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def too_many(self, address: str) -> bool:
        """Whether the address has to wait."""
        with self._lock:
            times = self._times.get(address, deque())
            while times and times[0] < monotonic() - MINUTE:
                times.popleft()
            return len(times) >= TRIES

    def add(self, address: str) -> None:
        """Count a wrong link."""
        with self._lock:
            self._times.setdefault(address, deque(maxlen=TRIES)).append(monotonic())
            self._times.move_to_end(address)
            while len(self._times) > ADDRESSES:
                self._times.popitem(last=False)


def store_of(request: Request) -> Store:
    """The store that this server reads."""
    store: Store = request.app.state.store
    return store


def signed_in(request: Request) -> Visitor:
    """Who asks; 401 without a good session.

    Called by every endpoint itself and not as a dependency: each dependency would take a
    thread of its own, which costs more than the question.
    """
    token = request.cookies.get(COOKIE, "")
    who = invitations.visitor(store_of(request), token) if token else None
    if who is None:
        raise HTTPException(401, "You are not signed in: open the link that you were given.")
    return who


def owning(request: Request) -> Visitor:
    """Who asks; 403 unless it is the owner."""
    who = signed_in(request)
    if who.kind != "owner":
        raise HTTPException(403, "This is for the owner of the study: open the owner's link.")
    return who


@router.get("/in/{secret}", include_in_schema=False)
def enter(secret: str, request: Request) -> Response:
    """The start page, with the cookie; the secret leaves the address bar."""
    address = request.client.host if request.client else ""
    attempts: Attempts = request.app.state.attempts
    if attempts.too_many(address):
        return _page(429, TOO_MANY)
    try:
        token, invitation = invitations.sign_in(store_of(request), secret)
    except invitations.UnknownLink as error:
        attempts.add(address)
        log.warning("a link that is not good was opened from %s", address)
        return _page(status_of(error), str(error))
    except (StoreError, SQLAlchemyError) as error:
        log.warning("sign-in: %s", str(error).splitlines()[0])
        return _page(423, LATER)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=_seconds_until(invitation.expires),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or request.app.state.secure,
    )
    return answer


@router.post("/api/sign-out", tags=["session"])
def sign_out(_body: Nothing, request: Request, response: Response) -> Done:
    """End this browser's session; the link stays good."""
    invitations.sign_out(store_of(request), signed_in(request))
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return Done()


def _page(status: int, sentence: str) -> HTMLResponse:
    return HTMLResponse(PAGE.format(html.escape(sentence)), status)


def _seconds_until(moment: str) -> int:
    left = datetime.fromisoformat(moment) - datetime.fromisoformat(now())
    return max(0, int(left.total_seconds()))
