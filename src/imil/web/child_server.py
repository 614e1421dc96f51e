"""The server in a process of its own, beside a training that must not starve it.

The child ends when the parent does, however the parent ends: it holds the other end of a pipe.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from imil.errors import ImilError, StoreError
from imil.store import Store
from imil.store.invitations import DAYS, Kind, invitations, invite
from imil.store.run_progress import Progress, Protocol
from imil.web.app import store_file
from imil.web.server import Place, listen, server

START = 30.0  # seconds until the child must listen


@dataclass(frozen=True)
class Links:
    """Who may open what: the owner's link, and a reader's if there was none before."""

    owner: str
    reader: str | None


@dataclass
class Beside:
    """A reading room in another process. Leaving the block, or `stop`, ends it."""

    address: str
    links: Links
    said: Sequence[str]  # lines for the person at the terminal
    process: subprocess.Popen[str]
    port: int
    store_path: Path
    run: str
    place: Place

    def keep_up(self, say: Callable[[str], None]) -> None:
        """Start the server again if it has ended; links hold where its port is still free.

        Args:
            say: takes a line for the person at the terminal.
        Raises: StoreError: it ended, and cannot be started again.
        """
        ended = self.process.poll()
        if ended is None:
            return
        _end(self.process)
        try:
            self.process, answer = _serve(self.store_path, replace(self.place, port=self.port))
        except StoreError as error:
            raise StoreError(
                f"the reading room has ended (exit code {ended}) and does not start again "
                f"({error}): every reading sent is stored; `imil resume` goes on"
            ) from error
        if answer["port"] != self.port:  # somebody has taken it meanwhile
            self.address, self.port = answer["address"], answer["port"]
            store = Store(self.store_path)
            Progress(store).set_address(self.run, self.address)
            store.close()
        say(
            f"The reading room had ended (exit code {ended}) and runs again at {self.address}; "
            "every reading sent is stored."
        )

    def stop(self) -> None:
        """End the server; what is stored stays."""
        _end(self.process)

    def __enter__(self) -> Beside:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_beside(
    store_path: Path | str,
    run: str,
    *,
    place: Place | None = None,
    protocol: Protocol | None = None,
) -> Beside:
    """The reading room of a run, served by a child process until this process ends.

    Args:
        store_path: the store; it must know the run.
        run: name of the run.
        place: where to listen; 127.0.0.1 unless told otherwise.
        protocol: change what readers see first; None leaves it as it is.
    Raises: SettingsError, StoreError: it cannot be served.
    """
    place = (place or Place()).checked()
    file = store_file(store_path)
    process, answer = _serve(file, place)
    links = make_links(file, run, answer["address"], protocol=protocol)
    return Beside(
        answer["address"], links, answer["said"], process, answer["port"], file, run, place
    )


def _serve(file: Path, place: Place) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The child, and what it says once it listens. Raises: StoreError: it does not."""
    told = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(place).items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "imil.web.child_server", str(file), json.dumps(told)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is for the training; the pipe tells the child
    )
    try:
        answer = _first_line(process)
    except StoreError:
        _end(process)
        raise
    return process, answer


def make_links(
    store_path: Path, run: str, address: str, *, protocol: Protocol | None = None
) -> Links:
    """New links for whoever starts the server; a reader's only if the run had none."""
    store = Store(store_path)
    try:
        progress = Progress(store)
        progress.set_address(run, address)
        if protocol is not None:
            progress.set_protocol(run, protocol, by="owner")
        return Links(
            owner=new_link(store, run, "owner", address, kind="owner"),
            reader=None if has_reader(store, run) else new_link(store, run, "reader", address),
        )
    finally:
        store.close()


def new_link(
    store: Store, run: str, name: str, address: str, *, kind: Kind = "reader", days: float = DAYS
) -> str:
    """A link that opens the run's reading room for that person."""
    _, secret = invite(store, run, name, kind=kind, days=days, by="owner")
    return f"{address}/in/{secret}"


def has_reader(store: Store, run: str) -> bool:
    """Whether somebody was invited to read."""
    return any(one.kind == "reader" and one.good for one in invitations(store, run))


def _first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the child says once it listens."""
    assert process.stdout is not None
    late = threading.Timer(START, process.kill)
    late.start()
    line = process.stdout.readline()
    late.cancel()
    if not line:
        raise StoreError("the reading room did not start: `imil serve` on the run says why")
    answer: dict[str, Any] = json.loads(line)
    if "trouble" in answer:
        raise StoreError(answer["trouble"])
    return answer


def _end(process: subprocess.Popen[str]) -> None:
    """Close the pipe, which ends the child, and see to it that it does."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _child(store_path: str, told: str) -> None:
    values = json.loads(told)
    for name in ("tls_cert", "tls_key"):
        values[name] = Path(values[name]) if values[name] else None
    place = Place(**values)
    said: list[str] = []
    try:
        door = listen(place, said.append)
        running = server(store_path, place)
    except ImilError as error:
        _tell({"trouble": str(error)})
        return
    port = door.getsockname()[1]
    _tell({"address": place.address(port), "port": port, "said": said})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    running.run(sockets=[door])


def _tell(answer: dict[str, Any]) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """Wait for the pipe to close, then end as Ctrl-C would."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _child(*sys.argv[1:])
