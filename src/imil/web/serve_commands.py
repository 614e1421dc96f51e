"""The work of `imil serve` and `imil invite`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast, get_args

from imil.errors import SettingsError, StoreError
from imil.run_store import run_store
from imil.store import Store
from imil.store.content_check import check_content
from imil.store.find_run import find_run
from imil.store.invitations import Kind, invitations, revoke
from imil.store.run_progress import Progress, Protocol
from imil.store_address import is_url
from imil.web.app import find_store
from imil.web.child_server import create_link, create_links, end_owner_link
from imil.web.server import PORT, ServerConfig, check_url, make_server, open_socket

Say = Callable[[str], None]


def serve_run(
    source: str, config: ServerConfig, *, run: str | None, protocol: str | None, say: Say
) -> None:
    """Serve until Ctrl-C, or a signal that asks to stop; the owner's link ends with it.

    Raises: SettingsError, StoreError: the server cannot start. Preempted: a signal came.
    """
    config = config.validated()
    chosen_protocol = _protocol(protocol)
    file = find_store(source)
    with _open_run(source, run) as (store, name):  # fails before a port is opened
        check_content(store, name)
    sock = open_socket(config, say)
    uvicorn_server = make_server(file, config)
    address = config.address(sock.getsockname()[1])
    links = create_links(file, name, address, protocol=chosen_protocol)
    if config.insecure and config.tls_cert is None:
        say("Without https: readings and cookies can be read on the network.")
    say(f"The reading room of {name} is open at {address}; Ctrl-C closes it.")
    say(f"  your own link (lobby and reading)  {links.owner}")
    if links.reader:
        say(f"  a reader's link                    {links.reader}")
    say(f'  more readers: imil invite {_shown(source, name)} "Dr. Lee"')
    try:
        uvicorn_server.run(sockets=[sock])
    finally:
        end_owner_link(file, name, links)


def invite_to_run(
    source: str,
    name: str | None,
    *,
    run: str | None,
    kind: Kind,
    days: float,
    url: str | None,
    say: Say,
) -> None:
    """Print a new link. Raises: SettingsError, StoreError: it cannot be created."""
    if name is None:
        raise SettingsError('no name: give one, as in `imil invite RUN "Dr. Lee"`')
    if url is not None:
        check_url("--url", url)
    with _open_run(source, run) as (store, run_name):
        address = url or Progress(store).address(run_name) or f"http://127.0.0.1:{PORT}"
        say(create_link(store, run_name, name, address.rstrip("/"), kind=kind, days=days))


def revoke_links(source: str, name: str, *, run: str | None, say: Say) -> None:
    """Revoke every link of a reader. Raises: StoreError: there is none."""
    with _open_run(source, run) as (store, run_name):
        valid_links = [
            invitation
            for invitation in invitations(store, run_name)
            if invitation.name == name and invitation.good
        ]
        if not valid_links:
            raise StoreError(f"'{name}' has no valid link: --list shows all links")
        for invitation in valid_links:
            revoke(store, run_name, invitation.id, by="owner")
        count = "1 link" if len(valid_links) == 1 else f"{len(valid_links)} links"
        say(f"Revoked {count} of {name}; the readings stay.")


def list_links(source: str, *, run: str | None, say: Say) -> None:
    """Print every link of the run and whether it is valid."""
    with _open_run(source, run) as (store, run_name):
        for invitation in invitations(store, run_name):
            state = f"until {invitation.expires[:10]}" if invitation.good else "expired"
            state = f"revoked {invitation.revoked[:10]}" if invitation.revoked else state
            opened = (invitation.used or "")[:16].replace("T", " ")
            used = f"opened {opened}" if opened else "never opened"
            say(f"{invitation.id}  {invitation.kind:6}  {invitation.name:24}  {state:18}  {used}")


@contextmanager
def _open_run(source: str, run: str | None) -> Iterator[tuple[Store, str]]:
    """The store, and the run of that name or else the newest."""
    store = Store(find_store(source))
    try:
        yield store, find_run(store, run or run_store(source).run)
    finally:
        store.close()


def _shown(source: str, run: str) -> str:
    """How a person names the run in another command; never with a password."""
    place = run_store(source)
    return f"{place.place} --run {run}" if is_url(source) else source


def _protocol(name: str | None) -> Protocol | None:
    if name is not None and name not in get_args(Protocol):
        raise SettingsError(f"invalid protocol '{name}': expected paper or blind-first")
    return cast("Protocol | None", name)
