"""Readers at once: what the server does when many submit and fetch their next case.

Every reader is a connection of its own that thinks, submits a reading, and fetches the next
image and heat-map as the page does. One in ten readings is sent twice, as a page does that
never saw the answer. The load comes from another process than the server's.
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

TWICE = 0.1  # of the readings


@dataclass
class Seen:
    """What a load found: seconds by kind of request, and which readings were confirmed."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    confirmed: set[str] = field(default_factory=set)
    refused: int = 0


class Connection:
    """One kept-alive HTTP/1.1 connection; a general client would cost more than the server."""

    def __init__(self, address: str, cookie: str) -> None:
        self.host, self.port = urlsplit(address).hostname, urlsplit(address).port
        self.always = (
            f"Host: {self.host}:{self.port}\r\nOrigin: {address}\r\nAccept-Encoding: gzip, deflate"
            f"\r\nCookie: imil_session={cookie}\r\nContent-Type: application/json\r\n"
        )

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**24)

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        head = f"{method} {path} HTTP/1.1\r\n{self.always}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        data = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), data


async def read(
    address: str, cookie: str, cases: list[dict], think: float, rounds: int, seen: Seen, seed: int
) -> None:
    """One reader, from the first case to the last, `rounds` times over."""
    connection, rng = Connection(address, cookie), random.Random(seed)
    await connection.open()
    await asyncio.sleep(rng.uniform(0, think))
    for case in cases * rounds:
        await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
        await submit(connection, case, seen, rng)
        for kind, url in (("image", case["image"]), ("heat-map", case["heat_map"])):
            began = time.perf_counter()
            status, _ = await connection.send("GET", url)
            seen.seconds[kind].append(time.perf_counter() - began)
            seen.refused += status != 200
    connection.writer.close()


async def submit(connection: Connection, case: dict, seen: Seen, rng: random.Random) -> None:
    """Put a reading once, or twice."""
    reading = uuid.UUID(int=rng.getrandbits(128), version=4).hex
    squares = rng.sample(range(1, 17), 3)
    given = {"verdict": "focus", "squares": squares, "reason": "", "seconds": 31.4}
    path = f"/api/rounds/70/cases/{case['number']}/readings/{reading}"
    for _ in range(2 if rng.random() < TWICE else 1):
        began = time.perf_counter()
        status, _ = await connection.send("PUT", path, json.dumps(given).encode())
        seen.seconds["submit"].append(time.perf_counter() - began)
        if status == 200:
            seen.confirmed.add(reading)
        else:
            seen.refused += 1


def load(address: str, cookies: list[str], cases: list[dict], think: float, rounds: int) -> Seen:
    """What so many readers see who think so many seconds on average."""

    async def all_of_them() -> Seen:
        seen = Seen()
        each = (
            read(address, cookie, cases, think, rounds, seen, seed)
            for seed, cookie in enumerate(cookies)
        )
        await asyncio.gather(*each)
        return seen

    return asyncio.run(all_of_them())


def burst(address: str, cookies: list[str], case: dict) -> Seen:
    """What readers see who all submit in the same moment."""

    async def at_once() -> Seen:
        seen, connections = Seen(), [Connection(address, cookie) for cookie in cookies]
        await asyncio.gather(*(connection.open() for connection in connections))
        each = (
            submit(connection, case, seen, random.Random(1_000 + i))
            for i, connection in enumerate(connections)
        )
        await asyncio.gather(*each)
        for connection in connections:
            connection.writer.close()
        return seen

    return asyncio.run(at_once())


def static(address: str, path: str, readers: int, think: float, times: int) -> list[float]:
    """Seconds a request, of so many visitors who fetch the same file again and again."""

    async def visit(seed: int, found: list[float]) -> None:
        connection, rng = Connection(address, ""), random.Random(seed)
        await connection.open()
        await asyncio.sleep(rng.uniform(0, think))
        for _ in range(times):
            await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
            began = time.perf_counter()
            await connection.send("GET", path)
            found.append(time.perf_counter() - began)
        connection.writer.close()

    async def all_of_them() -> list[float]:
        found: list[float] = []
        await asyncio.gather(*(visit(seed, found) for seed in range(readers)))
        return found

    return asyncio.run(all_of_them())
