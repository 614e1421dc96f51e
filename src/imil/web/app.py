"""The application: the page, the API, and the guard before both."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.middleware.gzip import GZipMiddleware

from imil import __version__
from imil.errors import StoreError
from imil.run_folder import STORE_NAME, store_path
from imil.store import Store
from imil.web import error_responses, sign_in, static
from imil.web.middleware import Guard
from imil.web.routes import lobby, pixels, practice, reading
from imil.web.sign_in import Attempts

LOCAL = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("", "0.0.0.0", "::")
PATIENCE = 5.0  # seconds until a reader hears that the store is busy; the page tries again


def create_app(
    store_path: Path | str,
    *,
    hosts: Iterable[str] = (),
    public_url: str | None = None,
    framed_by: str | None = None,
) -> FastAPI:
    """The reading room of a store. It remembers nothing itself: many may serve one store.

    Args:
        store_path: a run's folder or its store.
        hosts: names and addresses under which it may be called, besides this machine's own.
        public_url: the address that people use, such as `https://reading.example.org`.
        framed_by: the one origin that may show the page in a frame.
    Raises: StoreError: there is no store, or it cannot be opened for writing.
    """
    app = FastAPI(
        title="imil reading room",
        version=__version__,
        summary="Readings of radiologists for models in training",
        docs_url=None,  # would load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,  # see `description` below: for those who are signed in
    )
    store = Store(store_file(store_path), patience=PATIENCE)
    app.state.store = store
    app.state.attempts = Attempts()
    app.state.view = pixels.views(store)
    app.state.public_url = public_url.rstrip("/") if public_url else None
    app.state.secure = bool(public_url and public_url.startswith("https:"))
    error_responses.install(app)
    # practice before the rounds: it is none of them
    for part in (sign_in, practice, reading, pixels, lobby, static):
        app.include_router(part.router)
    _extras(app)
    app.add_middleware(GZipMiddleware, minimum_size=1_500, compresslevel=4)
    names = allowed([*hosts, urlsplit(public_url).hostname or ""] if public_url else hosts)
    app.add_middleware(Guard, hosts=names, public=public_url, framed_by=framed_by)
    return app


def store_file(path: Path | str) -> Path:
    """The store that is meant by a run's folder or by the store itself.

    Raises: StoreError: there is none.
    """
    given = Path(path)
    found = store_path(given)
    if not found.is_file():
        raise StoreError(f"there is no store at {given}: name a run's folder or its {STORE_NAME}")
    return found


def allowed(hosts: Iterable[str]) -> set[str]:
    """The names the server answers to, in lower case."""
    given = {host.lower() for host in hosts}
    own = {socket.gethostname(), socket.getfqdn()} if given & set(EVERYWHERE) else set()
    return {*LOCAL, *given, *(name.lower() for name in own)} - set(EVERYWHERE)


def _extras(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        """That the server answers; it says nothing else."""
        return PlainTextResponse("ok")

    @app.get("/api/openapi.json", include_in_schema=False)
    def description(request: Request) -> dict[str, object]:
        """The API in OpenAPI's words."""
        sign_in.signed_in(request)
        return app.openapi()
