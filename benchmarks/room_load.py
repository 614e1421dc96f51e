"""Load of the server by many readers who submit readings and load their next case.

Each reader is a connection that waits, submits a reading, and loads the next image and heat-map
as the page does. One in ten readings is sent twice, as by a page that did not get the response.
The load comes from another process than the server's.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

RETRY_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0)  # s before a connection is opened again, as the page
RESEND_SHARE = 0.1  # of the readings


@dataclass
class LoadResult:
    """Seconds by kind of request, ids of confirmed readings, and the numbers of errors and of
    readings that were sent again because the store was locked for too long."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    confirmed: set[str] = field(default_factory=set)
    refused: int = 0
    again: int = 0


class Connection:
    """One kept-alive HTTP/1.1 connection; a general client would cost more than the server."""

    def __init__(self, address: str, cookie: str) -> None:
        self.host, self.port = urlsplit(address).hostname, urlsplit(address).port
        self.headers = (
            f"Host: {self.host}:{self.port}\r\nOrigin: {address}\r\nAccept-Encoding: gzip, deflate"
            f"\r\nCookie: {cookie}\r\nContent-Type: application/json\r\n"
        )

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**24)

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the response.

        A server ends connections that were idle for long; as a browser, it then opens another.
        """
        for pause in RETRY_PAUSES:
            try:
                return await self._send(method, path, body)
            except (asyncio.IncompleteReadError, ConnectionError):
                await asyncio.sleep(pause)
                await self.open()
        return await self._send(method, path, body)

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        data = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), data


async def read(
    address: str,
    cookie: str,
    cases: list[dict],
    think: float,
    rounds: int,
    result: LoadResult,
    seed: int,
) -> None:
    """One reader, from the first case to the last, `rounds` times over."""
    connection, rng = Connection(address, cookie), random.Random(seed)
    await connection.open()
    await asyncio.sleep(rng.uniform(0, think))
    for case in cases * rounds:
        await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
        await submit(connection, case, result, rng)
        for kind, url in (("image", case["image"]), ("heat-map", case["heat_map"])):
            start = time.perf_counter()
            status, _ = await connection.send("GET", url)
            result.seconds[kind].append(time.perf_counter() - start)
            result.refused += status != 200
    connection.writer.close()


async def submit(
    connection: Connection, case: dict, result: LoadResult, rng: random.Random
) -> None:
    """Send a reading once or twice."""
    reading = uuid.UUID(int=rng.getrandbits(128), version=4).hex
    squares = rng.sample(range(1, 17), 3)
    body = {"verdict": "focus", "squares": squares, "reason": "", "seconds": 31.4}
    path = f"/api/rounds/70/cases/{case['number']}/readings/{reading}"
    for _ in range(2 if rng.random() < RESEND_SHARE else 1):
        start = time.perf_counter()
        status, _ = await connection.send("PUT", path, json.dumps(body).encode())
        result.seconds["submit"].append(time.perf_counter() - start)
        while status == 423:  # as the page does
            result.again += 1
            await asyncio.sleep(1.0)
            status, _ = await connection.send("PUT", path, json.dumps(body).encode())
        if status == 200:
            result.confirmed.add(reading)
        else:
            result.refused += 1


def load(
    address: str, cookies: list[str], cases: list[dict], think: float, rounds: int
) -> LoadResult:
    """Latencies of concurrent readers who take `think` seconds a case on average."""

    async def run_all() -> LoadResult:
        result = LoadResult()
        requests = (
            read(address, cookie, cases, think, rounds, result, seed)
            for seed, cookie in enumerate(cookies)
        )
        await asyncio.gather(*requests)
        return result

    return asyncio.run(run_all())


def burst(address: str, cookies: list[str], case: dict) -> LoadResult:
    """Latencies of readers who all submit at the same moment."""

    async def at_once() -> LoadResult:
        result, connections = LoadResult(), [Connection(address, cookie) for cookie in cookies]
        await asyncio.gather(*(connection.open() for connection in connections))
        requests = (
            submit(connection, case, result, random.Random(1_000 + i))
            for i, connection in enumerate(connections)
        )
        await asyncio.gather(*requests)
        for connection in connections:
            connection.writer.close()
        return result

    return asyncio.run(at_once())


def load_static(address: str, path: str, readers: int, think: float, times: int) -> list[float]:
    """Seconds a request, of visitors who load the same file repeatedly."""

    async def visit(seed: int, seconds: list[float]) -> None:
        connection, rng = Connection(address, ""), random.Random(seed)
        await connection.open()
        await asyncio.sleep(rng.uniform(0, think))
        for _ in range(times):
            await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
            start = time.perf_counter()
            await connection.send("GET", path)
            seconds.append(time.perf_counter() - start)
        connection.writer.close()

    async def run_all() -> list[float]:
        seconds: list[float] = []
        await asyncio.gather(*(visit(seed, seconds) for seed in range(readers)))
        return seconds

    return asyncio.run(run_all())
