"""What `imil serve` and `imil invite` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from imil.errors import SettingsError, StoreError
from imil.store import Store
from imil.store.invitations import Kind, invitations, revoke
from imil.store.run_progress import Progress, Protocol
from imil.web.app import store_file
from imil.web.child_server import make_links, new_link
from imil.web.server import PORT, Place, check_address, listen, server

Say = Callable[[str], None]


def serve_run(
    source: Path, place: Place, *, run: str | None, protocol: str | None, say: Say
) -> None:
    """Serve until Ctrl-C. Raises: SettingsError, StoreError: it cannot be."""
    place = place.checked()
    known = _protocol(protocol)
    file = store_file(source)
    with _opened(source, run) as (_store, name):
        pass  # a store without a run is found out before a port is taken
    door = listen(place, say)
    running = server(file, place)
    address = place.address(door.getsockname()[1])
    links = make_links(file, name, address, protocol=known)
    if place.insecure and place.tls_cert is None:
        say("Without https: readings and cookies can be read on the network.")
    say(f"The reading room of {name} is open at {address}; Ctrl-C closes it.")
    say(f"  your own link (lobby and reading)  {links.owner}")
    if links.reader:
        say(f"  a reader's link                    {links.reader}")
    say(f'  more readers: imil invite {source} "Dr. Lee"')
    running.run(sockets=[door])


def invite_to_run(
    source: Path,
    name: str | None,
    *,
    run: str | None,
    kind: Kind,
    days: float,
    url: str | None,
    say: Say,
) -> None:
    """Say a new link. Raises: SettingsError, StoreError: there can be none."""
    if name is None:
        raise SettingsError('nobody is named: give a name, as in `imil invite RUN "Dr. Lee"`')
    if url is not None:
        check_address("--url", url)
    with _opened(source, run) as (store, chosen):
        address = (url or Progress(store).address(chosen) or f"http://127.0.0.1:{PORT}").rstrip("/")
        say(new_link(store, chosen, name, address, kind=kind, days=days))


def revoke_links(source: Path, name: str, *, run: str | None, say: Say) -> None:
    """Revoke every link of a person. Raises: StoreError: they have none."""
    with _opened(source, run) as (store, chosen):
        theirs = [one for one in invitations(store, chosen) if one.name == name and one.good]
        if not theirs:
            raise StoreError(f"'{name}' has no link that is good: --list shows who has")
        for one in theirs:
            revoke(store, chosen, one.id, by="owner")
        count = "1 link" if len(theirs) == 1 else f"{len(theirs)} links"
        say(f"Revoked {count} of {name}; what they read stays.")


def list_links(source: Path, *, run: str | None, say: Say) -> None:
    """Say every link of the run and whether it is good."""
    with _opened(source, run) as (store, chosen):
        for one in invitations(store, chosen):
            state = f"until {one.expires[:10]}" if one.good else "expired"
            state = f"revoked {one.revoked[:10]}" if one.revoked else state
            used = f"opened {one.used[:16].replace('T', ' ')}" if one.used else "never opened"
            say(f"{one.id}  {one.kind:6}  {one.name:24}  {state:18}  {used}")


@contextmanager
def _opened(source: Path, run: str | None) -> Iterator[tuple[Store, str]]:
    """The store and the run that is meant: the one named, or the newest."""
    store = Store(store_file(source))
    try:
        names = [str(row["name"]) for row in store.runs()]
        if not names:
            raise StoreError(f"{source} holds no run yet: start one with `imil train`")
        if run is not None and run not in names:
            raise StoreError(f"there is no run '{run}' in {source}: it has {', '.join(names)}")
        yield store, run or names[-1]
    finally:
        store.close()


def _protocol(name: str | None) -> Protocol | None:
    for known in get_args(Protocol):
        if name == known:
            chosen: Protocol = known
            return chosen
    if name is not None:
        raise SettingsError(f"'{name}' is no protocol: give paper or blind-first")
    return None
