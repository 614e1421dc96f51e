"""What holds under attack and in accidents: the figures of docs/security.md.

    python benchmarks/faults.py [--full] [--out FILE.json]

Requests of every route by every kind of visitor; readings posted at the same time; processes that
are killed while they store a reading or make a store; idle connections and slow readers beside a
signed-in one. Where PostgreSQL is installed, the same in a database, and restarts of its server
while readings are stored (docs/reliability.md).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import select
import signal
import socket
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import numpy as np
from benchmark_report import benchmark_parser
from room_store import make_store

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from postgres_server import Server, find_binaries

from imil.cases import Reading
from imil.errors import StoreBusy
from imil.store import Store, schema_version
from imil.store.invitations import invite
from imil.store_address import Location, location
from imil.web.app import create_app
from imil.web.child_server import ServerProcess, start_server_process
from imil.web.server import ServerConfig
from imil.web.sign_in import cookie_name

CASES, SIDE = 4, 2048  # films of 4 MB that cannot be compressed
HEAT_MAP = np.zeros((16, 16), np.float32)
FORK = multiprocessing.get_context("fork")


def _noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def browser(store: Store, room: ServerProcess, kind: str | None) -> httpx.Client:
    """An HTTP client; signed in as that kind of visitor, if one is given."""
    client = httpx.Client(base_url=room.address, headers={"Origin": room.address}, timeout=60)
    if kind is not None:
        name = "owner" if kind == "owner" else f"reader {uuid.uuid4().hex[:6]}"
        secret = invite(store, "films", name, kind=kind, by="owner")[1]  # type: ignore[arg-type]
        assert client.post(f"/in/{secret}").status_code == 303
    return client


def rights(store: Store, room: ServerProcess) -> dict[str, int]:
    """Requests of every route of the API by each kind of visitor, and how many went wrong.

    Wrong is an error of the server, an answer to somebody who is not signed in, and the owner's
    to a reader.
    """
    paths = create_app(store.path).openapi()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods]
    result = Counter({"requests": 0, "wrong": 0})
    for kind in (None, "forged", "reader", "owner"):
        for method, path in routes:
            with closing(browser(store, room, None if kind == "forged" else kind)) as client:
                if kind == "forged":
                    client.cookies.set(cookie_name(store), "A" * 43)
                url = path.format_map(_Values())
                body = None if method in ("get", "delete") else {}
                status = client.request(method, url, json=body).status_code
            of_owner = path.startswith(("/api/lobby", "/api/audit", "/api/invitations"))
            wrong = status >= 500 or (kind in (None, "forged") and status < 400)
            wrong = wrong or (kind == "reader" and of_owner and status < 400)
            result.update(requests=1, wrong=int(wrong))
    return dict(result)


class _Values(dict):
    """What stands for each parameter of a path."""

    def __missing__(self, name: str) -> str:
        return {"epoch": "70", "number": "1", "which": "true"}.get(name, "e" * 16)


def posts(store: Store, room: ServerProcess, readers: int, each: int) -> dict[str, int]:
    """Readings posted at the same time, each twice; refused, lost and doubled ones.

    Where the store was locked for too long, the page is told to try again, and so does this.
    """
    clients = [browser(store, room, "reader") for _ in range(readers)]

    def post(client: httpx.Client) -> list[tuple[str, int]]:
        sent = []
        for i in range(each):
            id_ = uuid.uuid4().hex
            url = f"/api/rounds/70/cases/{i % CASES + 1}/readings/{id_}"
            body = {"verdict": "focus", "squares": [6], "reason": "", "seconds": 1.0}
            for _ in range(2):
                status = 423
                while status == 423:
                    answer = client.put(url, json=body | {"squaresBefore": None})
                    status = answer.status_code
                    sent.append((id_, status))
        return sent

    with ThreadPoolExecutor(readers) as pool:
        sent = [one for some in pool.map(post, clients) for one in some]
    for client in clients:
        client.close()
    stored = Counter(reading.id for reading in store.readings("films@70"))
    confirmed = {id_ for id_, status in sent if status == 200}
    return {
        "posts": len(sent),
        "told to try again": sum(status == 423 for _, status in sent),
        "errors": sum(status not in (200, 423) for _, status in sent),
        "lost": len(confirmed - stored.keys()),
        "doubled": sum(count > 1 for count in stored.values()),
    }


def kills(place: Path | str, times: int) -> dict[str, int]:
    """Processes killed while they store readings: confirmed readings that are lost or doubled.

    Args:
        place: a folder, or the address of a database.
        times: how many processes are killed.
    """
    store = make_store(place, CASES, _noise, HEAT_MAP)
    path = store.path
    store.close()
    confirmed: list[str] = []
    for _ in range(times):
        confirmed += _killed(add_readings, path, begun=True)
    return {"kills": times} | compare(path, confirmed)


def compare(place: Location, confirmed: list[str]) -> dict[str, int]:
    """How many readings were confirmed, and of these how many are lost or stored twice."""
    with closing(Store(place)) as store:
        stored = Counter(reading.id for reading in store.readings("films@70"))
    return {
        "confirmed": len(confirmed),
        "lost": sum(id_ not in stored for id_ in confirmed),
        "doubled": sum(count > 1 for count in stored.values()),
    }


def unfinished(folder: Path, times: int) -> dict[str, int]:
    """Processes killed while they make a store: how often one was there, or was unusable."""
    result = Counter({"kills": times, "there": 0, "unusable": 0})
    for number in range(times):
        path = folder / f"{number}.sqlite"
        _killed(lambda path, _out: Store(path), path)
        result["there"] += path.exists()
        try:
            Store(path).close()
            Store(path, readonly=True).close()
        except Exception:
            result["unusable"] += 1
    return dict(result)


def _killed(
    work: Callable, path: Location, *, begun: bool = False, longest: float = 0.4
) -> list[str]:
    """What a process had written to its pipe when it was killed at some moment.

    Args:
        work: is called with the path and the pipe.
        path: of the store.
        begun: kill it after it has written something.
        longest: seconds until then.
    """
    ours, theirs = os.pipe()
    process = FORK.Process(target=work, args=(path, theirs))
    process.start()
    os.close(theirs)
    if begun:
        select.select([ours], [], [])
    time.sleep(random.uniform(0.01, longest))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with os.fdopen(ours) as pipe:
        lines = pipe.read().split("\n")[:-1]  # the last one is not complete
    return [line for line in lines if line != "again"]


def add_readings(place: Location, out: int) -> None:
    """Store readings without end; the id of each is written when it is confirmed.

    What is busy is tried again under the same id, as the page does.
    """
    store = Store(place)
    while True:
        reading = Reading("films@70#1", "Lee", "focus", (6,))
        while True:
            try:
                store.add(reading)
                break
            except StoreBusy:
                os.write(out, b"again\n")
        os.write(out, f"{reading.id}\n".encode())


def idle(store: Store, room: ServerProcess, count: int) -> dict[str, float]:
    """Connections that send nothing or half a request, and a reader beside them."""
    statuses, slowest = Counter(), 0.0
    with closing(browser(store, room, "reader")) as reader, ExitStack() as stack:
        for i in range(count):
            waiting = stack.enter_context(socket.create_connection(("127.0.0.1", room.port)))
            if i % 2:
                waiting.sendall(b"GET / HTTP/1.1\r\nHost: loc")
            if i % 50 == 0:
                start = time.perf_counter()
                statuses[reader.get("/api/session").status_code] += 1
                slowest = max(slowest, time.perf_counter() - start)
        with closing(browser(store, room, "reader")) as new:
            statuses[new.get("/api/session").status_code] += 1
    refused = sum(count for status, count in statuses.items() if status != 200)
    asked = sum(statuses.values())
    return {"connections": count, "asked": asked, "refused": refused, "slowest s": slowest}


def slow(store: Store, room: ServerProcess, count: int) -> dict[str, float]:
    """Memory of the server in MB before and while readers take a film very slowly."""
    with closing(browser(store, room, "reader")) as reader, ExitStack() as stack:
        url = reader.get("/api/rounds/70").json()["cases"][0]["image"]["url"]
        reader.get(url)
        before = _resident(room.process.pid)
        head = f"GET /{url} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: deflate\r\n"
        ((name, token),) = reader.cookies.items()
        head += f"Cookie: {name}={token}\r\n\r\n"
        for _ in range(count):
            waiting = stack.enter_context(socket.create_connection(("127.0.0.1", room.port)))
            waiting.sendall(head.encode())
            waiting.recv(1000)
        return {"readers": count, "MB before": before, "MB then": _resident(room.process.pid)}


def _resident(pid: int) -> float:
    """Memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def database_faults(*, full: bool) -> dict[str, dict]:
    """The figures of a store in a PostgreSQL database; none where the server is not installed."""
    if find_binaries() is None:
        print("PostgreSQL: left out, for initdb and pg_ctl are not installed")
        return {}
    server = Server(find_binaries(), fsync=True)
    try:
        figures = {
            "PostgreSQL: kills while storing": kills(server.new_store(), 40 if full else 5),
            "PostgreSQL: kills while a store is made": unfinished_databases(
                server, 40 if full else 5
            ),
            "PostgreSQL: restarts under load": restarts(server, 20 if full else 3, 4),
        }
        store = make_store(server.new_store(), CASES, _noise, HEAT_MAP)
        with start_server_process(store.path, "films", config=ServerConfig(port=0)) as room:
            readers, each = (100, 34) if full else (10, 10)
            figures["PostgreSQL: posts"] = posts(store, room, readers, each)
        store.close()
        return figures
    finally:
        server.remove()


def unfinished_databases(server: Server, times: int) -> dict[str, int]:
    """As `unfinished`, each in a database of its own."""
    result = Counter({"kills": times, "there": 0, "unusable": 0})
    for _ in range(times):
        place = location(server.new_database())
        _killed(lambda place, _out: Store(place), place, longest=8.0)
        result["there"] += schema_version(place) is not None
        try:
            Store(place).close()
            Store(place, readonly=True).close()
        except Exception:
            result["unusable"] += 1
        server.drop(str(place))
    return dict(result)


def restarts(server: Server, times: int, writers: int) -> dict[str, int]:
    """The server ended and started again while processes store readings; then these are killed.

    Every other time it ends as in a crash, without writing what is in its memory to its files.
    """
    place = make_store(server.new_store(), CASES, _noise, HEAT_MAP).path
    pipes, processes = [], []
    for _ in range(writers):
        ours, theirs = os.pipe()
        processes.append(FORK.Process(target=add_readings, args=(place, theirs)))
        processes[-1].start()
        os.close(theirs)
        pipes.append(os.fdopen(ours))
    with ThreadPoolExecutor(writers) as pool:
        texts = [pool.submit(pipe.read) for pipe in pipes]
        for number in range(times):
            time.sleep(random.uniform(0.5, 2.0))
            server.stop("immediate" if number % 2 else "fast")
            server.start()
        time.sleep(1.0)
        for process in processes:
            process.kill()
            process.join()
        lines = [line for text in texts for line in text.result().split("\n")[:-1]]
    confirmed = [line for line in lines if line != "again"]
    again = {"told to try again": lines.count("again")}
    return {"restarts": times, "processes": writers} | compare(place, confirmed) | again


def main() -> None:
    """Measure and print."""
    args = benchmark_parser(__doc__, "as many as in docs/security.md").parse_args()
    full = args.full
    postgres = database_faults(full=full)  # before threads start: processes are forked
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("room", "kills", "new"):
            (folder / part).mkdir()
        result: dict[str, dict] = {
            "kills while storing": kills(folder / "kills", 40 if full else 5),
            "kills while a store is made": unfinished(folder / "new", 40 if full else 5),
        }
        store = make_store(folder / "room", CASES, _noise, HEAT_MAP)
        with start_server_process(store.path, "films", config=ServerConfig(port=0)) as room:
            result["posts"] = posts(store, room, 100 if full else 10, 34 if full else 10)
            result["idle connections"] = idle(store, room, 1010 if full else 450)
            result["slow readers"] = slow(store, room, 100 if full else 20)
            # last: the owner closes the round
            result["routes by visitors"] = rights(store, room)
        store.close()
    result |= postgres
    for what, figures in result.items():
        print(f"{what}: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
