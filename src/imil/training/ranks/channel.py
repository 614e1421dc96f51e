"""Connections between rank 0 and the other ranks, over which commands and failures are sent."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from imil.errors import SettingsError

ANSWER_SECONDS = 10  # for a rank to prove that it is one
CHECK_SECONDS = 1.0  # between two looks at whether a process that is awaited has ended
KEEPALIVE_SECONDS = 60  # of silence, until the system asks whether the other machine is there


@dataclass(frozen=True)
class Hello:
    """What a rank says of itself when it comes.

    Args:
        rank: from 1.
        host: name of its machine.
        pid: of its process there.
    """

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        """For a sentence."""
        return f"rank {self.rank} (process {self.pid} on {self.host})"


@dataclass(frozen=True)
class Failed:
    """A rank's last word.

    Args:
        reason: a clause or a sentence without its full stop.
        own: whether a person can do something about it; else it may follow from another rank's end.
    """

    reason: str
    own: bool


@dataclass(frozen=True)
class Peer:
    """Another rank, as rank 0 sees it."""

    hello: Hello
    connection: Connection


class Door:
    """The port of rank 0 to which the other ranks connect.

    Args:
        host: address of the interface; "" for all.
        key: that they have to know.
    """

    def __init__(self, host: str, key: bytes) -> None:
        self._key = key
        self._socket = socket.create_server((host, 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]

    def wait_for(
        self, ranks: range, seconds: float, ended: Callable[[], str] = lambda: ""
    ) -> dict[int, Peer]:
        """The ranks, when all have come.

        Args:
            ranks: that are to come.
            seconds: to wait for them.
            ended: why one cannot come any more; "" while all can.
        Raises: SettingsError: one did not come.
        """
        peers: dict[int, Peer] = {}
        until = time.monotonic() + seconds
        while len(peers) < len(ranks):
            self._socket.settimeout(CHECK_SECONDS)
            try:
                peer = self._accept()
            except TimeoutError:
                peer = None
            if peer is not None:
                peers[peer.hello.rank] = peer
            missing = [rank for rank in ranks if rank not in peers]
            if missing and (why := ended()):
                raise SettingsError(why)
            if missing and time.monotonic() > until:
                raise SettingsError(missing_ranks(missing, len(ranks) + 1, seconds))
        return peers

    def close(self) -> None:
        """Let nobody else in."""
        self._socket.close()

    def _accept(self) -> Peer | None:
        """The next that comes; None if it is not one of us."""
        connected, _ = self._socket.accept()
        _limit(connected, ANSWER_SECONDS)  # who says nothing must not keep the others waiting
        connection = _connection(connected)
        try:
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            peer = Peer(connection.recv(), connection)
            with socket.socket(fileno=os.dup(connection.fileno())) as same:
                _limit(same, 0)
            return peer
        except (AuthenticationError, EOFError, OSError):
            connection.close()
            return None


def missing_ranks(missing: list[int], size: int, seconds: float) -> str:
    """The sentence about ranks that did not come."""
    shown = ", ".join(map(str, missing[:5])) + (" …" if len(missing) > 5 else "")
    return (
        f"of {size} ranks, {shown} did not come within {seconds:.0f} seconds: check that each node "
        "started its processes and reaches rank 0 over the network (IMIL_RENDEZVOUS_SECONDS waits "
        "longer)"
    )


def connect(host: str, port: int, key: bytes, rank: int, seconds: float) -> Connection:
    """A connection to rank 0.

    Raises: SettingsError: it cannot be reached, or is not the one that has the key.
    """
    try:
        connected = socket.create_connection((host, port), timeout=seconds)
        connected.settimeout(None)
        connection = _connection(connected)
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
        connection.send(Hello(rank, socket.gethostname(), os.getpid()))
    except (AuthenticationError, EOFError, OSError) as error:
        raise SettingsError(
            f"rank {rank} cannot reach rank 0 at {host}:{port} ({error}): check the network between"
            " the nodes"
        ) from error
    return connection


def _limit(connected: socket.socket, seconds: int) -> None:
    """How long to wait for anything that is received; 0: without end."""
    connected.setblocking(True)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _connection(connected: socket.socket) -> Connection:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # a machine that lost its power closes nothing
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS // 6)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)
    return Connection(connected.detach())


def last_word(connection: Connection) -> Any:
    """What a rank has sent; None if its process ended without a word."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None
