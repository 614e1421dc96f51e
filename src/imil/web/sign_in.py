"""Sign-in: exchanges a link's secret for a session cookie, and finds the visitor of a request."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TypeVar

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError

from imil.errors import StoreError
from imil.output_text import html_text
from imil.store import Store, invitations
from imil.store.clock import now
from imil.store.invitations import Visitor
from imil.web.error_responses import STORE_UNAVAILABLE, status_of
from imil.web.room_audit import record_failed_sign_in
from imil.web.schemas import ERROR_RESPONSES, Done, EmptyRequest

log = logging.getLogger("imil.web")
COOKIE = "imil_session"  # begins the name of the cookie
MAX_FAILURES = 20  # invalid links from one address in a minute; a ward may share one address
MINUTE = 60.0  # seconds
MAX_ADDRESSES = 10_000  # remembered at most, which bounds the memory
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=html_text,
)
TOO_MANY_FAILURES = (
    "Too many invalid links from your address: wait a minute, then open your link again."
)

CLEAR_SITE_DATA = '"cache", "storage"'  # not "cookies": those of other ports would go too
Result = TypeVar("Result")

router = APIRouter(responses=ERROR_RESPONSES)


class PageError(Exception):
    """A page is shown in place of what was asked for."""

    def __init__(self, page: HTMLResponse) -> None:
        super().__init__()
        self.page = page


@dataclass
class FailedSignIns:
    """Times of the invalid links of the last minute, by address."""

    _times: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def is_blocked(self, address: str) -> bool:
        """Whether the address must wait."""
        with self._lock:
            times = self._times.get(address, deque())
            while times and times[0] < monotonic() - MINUTE:
                times.popleft()
            return len(times) >= MAX_FAILURES

    def add(self, address: str) -> None:
        """Count an invalid link."""
        with self._lock:
            self._times.setdefault(address, deque(maxlen=MAX_FAILURES)).append(monotonic())
            self._times.move_to_end(address)
            while len(self._times) > MAX_ADDRESSES:
                self._times.popitem(last=False)


def cookie_name(store: Store) -> str:
    """The name of a store's session cookie: browsers share cookies among the ports of a host.

    It stays where a server of the store is started at another port, or the store is moved.
    """
    first = next(iter(store.runs()), {"name": str(store.path), "created": ""})
    digest = hashlib.sha256(f"{first['name']} {first['created']}".encode()).hexdigest()
    return f"{COOKIE}_{digest[:12]}"


def store_of(request: Request) -> Store:
    """The store that this server reads."""
    store: Store = request.app.state.store
    return store


def current_visitor(request: Request) -> Visitor:
    """The visitor of a request; 401 without a valid session.

    Called in each endpoint and not as a dependency: FastAPI runs each dependency in a thread,
    which takes longer than the query.
    """
    token = request.cookies.get(cookie_of(request), "")
    visitor = invitations.visitor(store_of(request), token) if token else None
    if visitor is None:
        raise HTTPException(401, "You are not signed in: open your link.")
    return visitor


def require_owner(request: Request) -> Visitor:
    """The visitor of a request; 403 unless it is the owner."""
    visitor = current_visitor(request)
    if visitor.kind != "owner":
        raise HTTPException(403, "Only for the owner of the study: open the owner's link.")
    return visitor


@router.get("/in/{secret}", include_in_schema=False)
def show_link(secret: str, request: Request) -> Response:
    """A page with one button: programs that look at links in messages must not open them."""
    try:
        invitation = _unless_blocked(request, secret, invitations.check_link)
    except PageError as error:
        return error.page
    page = TEMPLATES.get_template("enter.html").render(name=invitation.name)
    return HTMLResponse(page)


@router.post("/in/{secret}", include_in_schema=False)
def sign_in_with_link(secret: str, request: Request) -> Response:
    """Set the cookie and redirect to the start page, so that the secret leaves the address bar."""
    try:
        token, invitation = _unless_blocked(request, secret, invitations.sign_in)
    except PageError as error:
        return error.page
    # relative: a proxy may have taken a prefix off the path
    response = RedirectResponse("../", 303)
    response.set_cookie(
        cookie_of(request),
        token,
        max_age=_seconds_until(invitation.expires),
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


def _unless_blocked(
    request: Request, secret: str, use: Callable[[Store, str, str], Result]
) -> Result:
    """What a link gives in this browser. Raises: PageError: nothing; the page says why."""
    address = request.client.host if request.client else ""
    failed_sign_ins: FailedSignIns = request.app.state.failed_sign_ins
    if failed_sign_ins.is_blocked(address):
        raise PageError(_error_page(429, TOO_MANY_FAILURES))
    store, browser = store_of(request), request.cookies.get(cookie_of(request), "")
    try:
        return use(store, secret, browser)
    except invitations.UnknownLink as error:
        failed_sign_ins.add(address)
        log.warning("invalid link opened from %s", address)
        record_failed_sign_in(store, address, type(error).__name__)
        raise PageError(_error_page(status_of(error), str(error))) from error
    except (StoreError, SQLAlchemyError) as error:
        log.warning("sign-in: %s", str(error).splitlines()[0])
        raise PageError(_error_page(423, STORE_UNAVAILABLE)) from error


def is_secure(request: Request) -> bool:
    """Whether the visitor's browser speaks https, to this server or to a proxy."""
    return request.url.scheme == "https" or bool(request.app.state.secure)


def cookie_of(request: Request) -> str:
    """The name of the session cookie; `__Host-` where the browser can hold it to this host."""
    name: str = request.app.state.cookie
    return f"__Host-{name}" if is_secure(request) else name


@router.post("/api/lock", tags=["session"])
def lock(_body: EmptyRequest, request: Request) -> Done:
    """End this browser's session after a time-out; its link opens it again, here alone."""
    invitations.sign_out(store_of(request), current_visitor(request), "no input")
    return Done()


@router.post("/api/sign-out", tags=["session"])
def sign_out(_body: EmptyRequest, request: Request, response: Response) -> Done:
    """End this browser's session and clear what the browser keeps of it; the link is used up."""
    invitations.sign_out(store_of(request), current_visitor(request))
    secure = is_secure(request)
    response.delete_cookie(cookie_of(request), httponly=True, samesite="strict", secure=secure)
    response.headers["Clear-Site-Data"] = CLEAR_SITE_DATA
    return Done()


def _error_page(status: int, sentence: str) -> HTMLResponse:
    page = TEMPLATES.get_template("message.html").render(message=sentence)
    return HTMLResponse(page, status)


def _seconds_until(moment: str) -> int:
    remaining = datetime.fromisoformat(moment) - datetime.fromisoformat(now())
    return max(0, int(remaining.total_seconds()))
