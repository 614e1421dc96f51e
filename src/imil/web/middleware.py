"""What every request must pass and every answer carries, whatever is behind it."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imil.web.error_responses import trouble

BODY = 64 * 1024  # bytes; the largest honest request, a 64×64 grid selected twice, has 45,000
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {ancestors}"
)


class Guard:
    """Checks host, origin, type and size of a request, and sends the headers of safety.

    Args:
        app: what comes behind.
        hosts: names under which the server may be called, in lower case.
        public: its address for people, if it has one.
        framed_by: the one origin that may show the page in a frame, such as a notebook's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        public: str | None = None,
        framed_by: str | None = None,
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._public = urlsplit(public) if public else None
        self._headers = {
            "Content-Security-Policy": POLICY.format(ancestors=framed_by or "'none'"),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=()",
        } | ({} if framed_by else {"X-Frame-Options": "DENY"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a web socket: nobody here speaks it, uvicorn answers 403

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refuse(scope, headers)
        if refusal is None and scope["method"] not in SAFE:
            body = await _read(headers, receive)
            if body is None:
                refusal = 413, f"The request is larger than {BODY // 1024} KiB: send less."
            else:
                receive = _again(body, receive)
        if refusal is not None:
            await trouble(*refusal)(scope, receive, sealed)
        else:
            await self._app(scope, receive, sealed)

    def _refuse(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and sentence if the request may not pass."""
        host = headers.get("host", "")
        if not self._ours(scope, host):
            return 421, (
                "This server does not go by that name: use the address it was started with, "
                "or start it with --public-url."
            )
        if scope["method"] in SAFE:
            return None
        if not self._same_origin(headers, host):
            return 403, "This request comes from another site: open the page itself and try there."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] != "DELETE" and kind != "application/json":
            return 415, "The request is no JSON: send it with Content-Type: application/json."
        return None

    def _ours(self, scope: Scope, host: str) -> bool:
        """Whether the name is ours; a page elsewhere could point its own name at this server."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        # the very address that the connection came in by cannot be somebody else's name
        return name in self._hosts or name == (scope.get("server") or ("",))[0]

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
        # the scheme may differ: a proxy that ends TLS need not say so
        return site.scheme in ("http", "https") and site.netloc == host


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, or None if it is too large; never more than that in memory."""
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, then whatever comes after it."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return rest.pop() if rest else await receive()

    return give
