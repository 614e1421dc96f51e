"""Connections that wait: how long, and how many before somebody signs in.

Anybody who reaches the server can open connections and send nothing. They are closed after some
seconds, and when there are many, the oldest of the busiest address go first, so that a reader
always gets in.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 1_000  # at once; the others are answered 503
MAX_ANONYMOUS = 400  # of those, connections over which nobody has signed in
HEADER_TIMEOUT = 10.0  # seconds until the headers of a request must be complete
SIGNED_IN = "imil.signed_in"  # set in the scope of a request that a signed-in visitor made


class GuardedConnection(H11Protocol):
    """A connection of uvicorn that is closed if it waits without a request."""

    signed_in = False
    opened = 0.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request, and make room."""
        super().connection_made(transport)
        self.opened = self.loop.time()
        self._wait()
        close_oldest(self.connections)

    def data_received(self, data: bytes) -> None:
        """Take up data; wait on until a request's headers are complete."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._wait()

    def on_response_complete(self) -> None:
        """Remember whether the visitor is signed in."""
        if self.cycle is not None and self.cycle.scope.get(SIGNED_IN):
            self.signed_in = True
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_TIMEOUT, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def close_oldest(connections: Collection[Any]) -> None:
    """Close the oldest anonymous connection of the address that has most, if there are too many."""
    anonymous = [one for one in connections if not one.signed_in and not one.transport.is_closing()]
    if len(anonymous) <= MAX_ANONYMOUS:
        return
    busiest, _ = Counter(_address(one) for one in anonymous).most_common(1)[0]
    min((one for one in anonymous if _address(one) == busiest), key=_age).transport.abort()


def _address(connection: Any) -> str:
    return str(connection.client[0]) if connection.client else ""


def _age(connection: Any) -> float:
    return float(connection.opened)
