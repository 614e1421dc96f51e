"""The server in a child process, so that a training does not slow it down.

The child ends when the parent does, even if that is killed: it reads from a pipe of the parent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from imil.errors import ImilError, StoreError
from imil.reader_names import AUTOMATIC, OWNER
from imil.safe_path import child_environment
from imil.store import Store
from imil.store.invitations import DAYS, Kind, invitations, invite, revoke
from imil.store.links import revoke_foreign
from imil.store.run_progress import Progress, Protocol
from imil.store_address import DatabaseUrl, Location
from imil.web.app import find_store
from imil.web.server import ServerConfig, make_server, open_socket

STOP_TIMEOUT = 0.5  # seconds; a training that was asked to stop must end within one
INTRODUCTION = "IMIL_INTRODUCTION"  # variable of the child that has `ServerConfig.introduction`
START_TIMEOUT = 120.0  # seconds until the child must listen; a busy machine imports slowly


@dataclass(frozen=True)
class SignInLinks:
    """The owner's link, which ends with the server, and those of readers who had none.

    Args:
        owner: the owner's link.
        owner_id: of its invitation.
        reader: of any reader, if the run had no reader's link and names no reader.
        named: name -> link of each named reader without a valid one.
    """

    owner: str
    owner_id: str
    reader: str | None
    named: Mapping[str, str]


@dataclass
class ServerProcess:
    """A reading room in a child process. Leaving the block, or `stop`, ends it."""

    address: str
    links: SignInLinks
    messages: Sequence[str]  # lines to print
    process: subprocess.Popen[str]
    port: int
    store_path: Location
    run: str
    config: ServerConfig

    def restart_if_ended(self, say: Callable[[str], None]) -> None:
        """Restart the server if it has ended; links stay valid if its port is still free.

        Args:
            say: prints a line.
        Raises: StoreError: it cannot be started again.
        """
        exit_code = self.process.poll()
        if exit_code is None:
            return
        _stop_process(self.process)
        try:
            self.process, startup = _start_process(
                self.store_path, replace(self.config, port=self.port)
            )
        except StoreError as error:
            raise StoreError(
                f"the reading room has ended (exit code {exit_code}) and cannot be restarted "
                f"({error}): every reading sent is stored; `imil resume` goes on"
            ) from error
        if startup["port"] != self.port:  # the port is in use by now
            self.address, self.port = startup["address"], startup["port"]
            store = Store(self.store_path)
            Progress(store).set_address(self.run, self.address)
            store.close()
        say(
            f"The reading room had ended (exit code {exit_code}) and was restarted at "
            f"{self.address}; every reading sent is stored."
        )

    def stop(self) -> None:
        """End the server and the owner's link that it came with."""
        _stop_process(self.process)
        end_owner_link(self.store_path, self.run, self.links)

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_server_process(
    store_path: Location | str,
    run: str,
    *,
    config: ServerConfig | None = None,
    protocol: Protocol | None = None,
    readers: Sequence[str] = (),
) -> ServerProcess:
    """Serve a run's reading room in a child process until this process ends.

    Args:
        store_path: the store; it must know the run.
        run: name of the run.
        config: where to listen; 127.0.0.1 by default.
        protocol: sets what readers see first; None leaves it unchanged.
        readers: names of those who get a link each, unless they have one.
    Raises: SettingsError, StoreError: the server cannot start.
    """
    config = (config or ServerConfig()).validated()
    file = find_store(store_path)
    process, startup = _start_process(file, config)
    links = create_links(file, run, startup["address"], protocol=protocol, readers=readers)
    return ServerProcess(
        startup["address"], links, startup["messages"], process, startup["port"], file, run, config
    )


def _start_process(
    file: Location, config: ServerConfig
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The child process and its startup message. Raises: StoreError: it did not start."""
    values = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(config).items()}
    introduction = values.pop("introduction")
    secret = {} if introduction is None else {INTRODUCTION: introduction}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "imil.web.child_server", str(file), json.dumps(values)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment()
        | (file.environment() if isinstance(file, DatabaseUrl) else {})
        | secret,  # every user sees the arguments
        start_new_session=True,  # Ctrl-C goes to the training only; the pipe ends the child
    )
    try:
        startup = _read_startup_message(process)
    except StoreError:
        _stop_process(process)
        raise
    return process, startup


def create_links(
    store_path: Location,
    run: str,
    address: str,
    *,
    protocol: Protocol | None = None,
    readers: Sequence[str] = (),
) -> SignInLinks:
    """A new link for the owner, and those that readers lack; see `start_server_process`."""
    store = Store(store_path)
    try:
        if isinstance(store.path, Path):  # other servers of a database may open its other links
            revoke_foreign(store)
        progress = Progress(store)
        progress.set_address(run, address)
        if protocol is not None:
            progress.set_protocol(run, protocol, by="owner")
        invitation, secret = invite(store, run, OWNER, kind="owner", by=OWNER)
        have = [one.name for one in invitations(store, run) if one.kind == "reader" and one.good]
        named = {
            name: create_link(store, run, name, address) for name in readers if name not in have
        }
        lacking = not have and not named
        reader = create_link(store, run, AUTOMATIC, address) if lacking else None
        return SignInLinks(_link(address, secret), invitation.id, reader, named)
    finally:
        store.close()


def end_owner_link(store_path: Location, run: str, links: SignInLinks) -> None:
    """Revoke the owner's link that a server came with; its readers' links stay."""
    with suppress(StoreError):  # a store that is gone has no links
        store = Store(store_path)
        try:
            revoke(store, run, links.owner_id, by=OWNER)
        finally:
            store.close()


def create_link(
    store: Store, run: str, name: str, address: str, *, kind: Kind = "reader", days: float = DAYS
) -> str:
    """A new link to the run's reading room."""
    _, secret = invite(store, run, name, kind=kind, days=days, by=OWNER)
    return _link(address, secret)


def _link(address: str, secret: str) -> str:
    return f"{address}/in/{secret}"


def has_reader(store: Store, run: str) -> bool:
    """Whether the run has a reader's link that is valid."""
    return any(one.kind == "reader" and one.good for one in invitations(store, run))


def _read_startup_message(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The message that the child sends once it listens."""
    assert process.stdout is not None
    timer = threading.Timer(START_TIMEOUT, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    if not line:
        raise StoreError("the reading room did not start: run `imil serve` to see why")
    startup: dict[str, Any] = json.loads(line)
    if "error" in startup:
        raise StoreError(startup["error"])
    return startup


def _stop_process(process: subprocess.Popen[str]) -> None:
    """Close the pipe, which ends the child, and kill it if it does not end soon.

    What it has confirmed is on disk, and a page sends again what was not confirmed.
    """
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve_until_parent_ends(store_path: str, config_json: str) -> None:
    values = json.loads(config_json)
    for name in ("tls_cert", "tls_key"):
        values[name] = Path(values[name]) if values[name] else None
    config = ServerConfig(**values, introduction=os.environ.pop(INTRODUCTION, None))
    messages: list[str] = []
    try:
        sock = open_socket(config, messages.append)
        uvicorn_server = make_server(store_path, config)
    except ImilError as error:
        _send_to_parent({"error": str(error)})
        return
    port = sock.getsockname()[1]
    try:
        _send_to_parent({"address": config.address(port), "port": port, "messages": messages})
    except BrokenPipeError:  # the parent was killed meanwhile
        os._exit(0)  # what Python writes at its end would fail, too
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    uvicorn_server.run(sockets=[sock])


def _send_to_parent(startup: dict[str, Any]) -> None:
    """Send one line to the parent."""
    sys.stdout.write(json.dumps(startup) + "\n")
    sys.stdout.flush()


def _exit_with_parent() -> None:
    """Wait until the pipe is closed, then shut down."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _serve_until_parent_ends(*sys.argv[1:])
