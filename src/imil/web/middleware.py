"""Checks on every request, and security headers on every response."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from hmac import compare_digest
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imil.web.connections import SIGNED_IN
from imil.web.error_responses import error_response

MAX_BODY = 64 * 1024  # bytes; the largest valid request, a 64×64 grid selected twice, has 45,000
BODY_TIMEOUT = 20.0  # seconds until the body of a request must be complete
LINK_PATH = "/in/"
FORM_TYPES = ("application/x-www-form-urlencoded", "")  # "": a form without fields
FORM_ACTION = "form-action 'none'", "form-action 'self'"
STRICT_TRANSPORT_SECURITY = "max-age=31536000"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {ancestors}"
)


class SecurityMiddleware:
    """Checks host, origin, content type and size of a request, and adds security headers.

    Args:
        app: the wrapped application.
        hosts: host names that the server answers to, in lower case.
        public: the public URL, if there is one.
        framed_by: the only pages that may show the page in a frame, such as a notebook's, as
            sources of `frame-ancestors`.
        introduction: a secret that makes one more host name known, by the first request that has
            it as the parameter `host`: a notebook behind a proxy does not know its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        public: str | None = None,
        framed_by: str | None = None,
        introduction: str | None = None,
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._introduction = introduction
        self._public = urlsplit(public) if public else None
        self._is_https = self._public is not None and self._public.scheme == "https"
        self._headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY.format(
                ancestors=framed_by or "'none'"
            ),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=()",
        } | ({} if framed_by else {"X-Frame-Options": "DENY"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # web sockets are not supported: uvicorn answers 403

        is_link = scope["path"].startswith(LINK_PATH)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
                if is_link and message["status"] == 200:  # the page with the button
                    # without it the browser would send `Origin: null` with the form
                    headers["Referrer-Policy"] = "same-origin"
                    policy = headers["Content-Security-Policy"]
                    headers["Content-Security-Policy"] = policy.replace(*FORM_ACTION)
                if scope["scheme"] == "https" or self._is_https:
                    headers["Strict-Transport-Security"] = STRICT_TRANSPORT_SECURITY
                if scope["path"].startswith("/api/") and message["status"] < 400:
                    scope[SIGNED_IN] = True  # every route of the API asks for that
            await send(message)

        headers = Headers(scope=scope)
        rejection = self._check(scope, headers)
        if rejection is None and scope["method"] not in SAFE_METHODS:
            body = await _read_body(headers, receive)
            if isinstance(body, TimeoutError):
                rejection = 408, "The request did not arrive in time: send it again."
            elif body is None:
                rejection = 413, f"The request is larger than {MAX_BODY // 1024} KiB: send less."
            else:
                receive = _replay_body(body, receive)
        if rejection is not None:
            await error_response(*rejection)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and message if the request is rejected, else None."""
        host = headers.get("host", "")
        if not self._is_own_host(scope, host):
            return 421, (
                "Unknown host name: use the address that the server was started with, "
                "or start it with --public-url."
            )
        if scope["method"] in SAFE_METHODS:
            return None
        if not self._same_origin(headers, host):
            return 403, "The request comes from another site: use the page itself."
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"].startswith(LINK_PATH):
            expected = content_type in FORM_TYPES
        else:
            expected = content_type == "application/json" or scope["method"] == "DELETE"
        if not expected:
            return 415, "The request is not JSON: send it with Content-Type: application/json."
        return None

    def _is_own_host(self, scope: Scope, host: str) -> bool:
        """Whether the host is this server; prevents DNS rebinding by another site."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        # the address that the connection came in by cannot be another site's name
        own = name in self._hosts or name == (scope.get("server") or ("",))[0]
        return own or (bool(name) and self._is_introduced(scope, name))

    def _is_introduced(self, scope: Scope, name: str) -> bool:
        """Whether the request has the secret that makes this host name known, once."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("host", [""])[0]
        if self._introduction is None or not compare_digest(
            given.encode(), self._introduction.encode()
        ):
            return False
        self._hosts, self._introduction = self._hosts | {name}, None
        return True

    def _same_origin(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        try:
            site = urlsplit(origin)
        except ValueError:
            return False
        if self._public is not None and site[:2] == self._public[:2]:
            return True
        # the scheme may differ behind a proxy that terminates TLS
        return site.scheme in ("http", "https") and site.netloc == host


async def _read_body(headers: Headers, receive: Receive) -> bytes | TimeoutError | None:
    """The whole body, or None if it is too large; no more is read of that, or of a slow one."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_all(headers, receive)
    except TimeoutError as error:
        return error


async def _read_all(headers: Headers, receive: Receive) -> bytes | None:
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body again, then what follows."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return rest.pop() if rest else await receive()

    return receive_again
