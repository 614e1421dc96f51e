"""The application: the page, the API and the middleware."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response

from imil import __version__
from imil.errors import StoreError
from imil.run_folder import STORE_NAME
from imil.run_store import run_store
from imil.store import Store
from imil.store_address import DatabaseUrl, Location
from imil.web import error_responses, sign_in
from imil.web.middleware import SecurityMiddleware
from imil.web.page_files import PageFiles
from imil.web.room_audit import OpenedFilms
from imil.web.routes import learned, lobby, pixels, practice, reading, renewal, results
from imil.web.shared_films import SharedFilms
from imil.web.sign_in import FailedSignIns
from imil.web.stack_slices import Stacks

log = logging.getLogger("imil.web")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
WILDCARD_ADDRESSES = ("", "0.0.0.0", "::")
STORE_TIMEOUT = 5.0  # seconds to wait for a locked store; after that the page tries again


def create_app(
    store_path: Location | str,
    *,
    hosts: Iterable[str] = (),
    public_url: str | None = None,
    framed_by: str | None = None,
    introduction: str | None = None,
) -> FastAPI:
    """The reading room of a store. It keeps no state of its own: several may serve one store.

    Args:
        store_path: a run's folder, its store, or the address of a database.
        hosts: names and addresses that it answers to, besides those of this machine.
        public_url: the address that people use, such as `https://reading.example.org`.
        framed_by, introduction: see `SecurityMiddleware`.
    Raises: StoreError: there is no store, or it cannot be opened for writing.
    """
    app = FastAPI(
        title="imil reading room",
        version=__version__,
        summary="Readings of radiologists for models in training",
        docs_url=None,  # would load scripts from another host
        redoc_url=None,
        openapi_url=None,  # see `openapi` below: only for signed-in visitors
    )
    store = Store(find_store(store_path), patience=STORE_TIMEOUT)
    app.state.store = store
    app.state.cookie = sign_in.cookie_name(store)
    app.state.failed_sign_ins = FailedSignIns()
    app.state.films, app.state.opened_films = SharedFilms(), OpenedFilms()
    app.state.view = pixels.model_view_loader(store)
    app.state.stacks = Stacks()
    app.state.public_url = public_url.rstrip("/") if public_url else None
    app.state.secure = bool(public_url and public_url.startswith("https:"))
    error_responses.add_error_handlers(app)
    # practice first: its paths also match those of rounds
    for part in (sign_in, practice, reading, pixels, learned, lobby, renewal, results):
        app.include_router(part.router)
    _add_page_and_description(app)
    app.add_middleware(GZipMiddleware)
    names = allowed_hosts([*hosts, urlsplit(public_url).hostname or ""] if public_url else hosts)
    app.add_middleware(
        SecurityMiddleware,
        hosts=names,
        public=public_url,
        framed_by=framed_by,
        introduction=introduction,
    )
    return app


def find_store(place: Location | str) -> Location:
    """The store of a run's folder, or the place itself if it is a store.

    Raises: StoreError: there is none. SettingsError: an invalid address.
    """
    if isinstance(place, DatabaseUrl):
        return place
    found = run_store(place)
    if found.is_missing:
        raise StoreError(f"no store at {place}: give a run's folder or its {STORE_NAME}")
    return found.place


def allowed_hosts(hosts: Iterable[str]) -> set[str]:
    """The host names that the server answers to, in lower case."""
    names = {host.lower() for host in hosts}
    if names & set(WILDCARD_ADDRESSES):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return {*LOCAL_HOSTS, *names} - set(WILDCARD_ADDRESSES)


def _add_page_and_description(app: FastAPI) -> None:
    files = PageFiles()
    app.mount("/static", files)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index(request: Request) -> Response:
        """The page, which contains no data and loads them with the visitor's cookie."""
        return await files.get_response("index.html", request.scope)

    @app.get("/healthz", include_in_schema=False)
    def healthz(request: Request) -> PlainTextResponse:
        """Health check: whether readings can be stored. It says nothing else."""
        try:
            sign_in.store_of(request).check()
        except (StoreError, SQLAlchemyError) as error:
            log.warning("health check: %s", str(error).splitlines()[0])
            return PlainTextResponse("the store cannot be used", 503)
        return PlainTextResponse("ok")

    @app.get("/api/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> dict[str, object]:
        """The OpenAPI description of the API."""
        sign_in.current_visitor(request)
        return app.openapi()
