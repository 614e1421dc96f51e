"""One copy of a film in memory, however many browsers load it at a time, sent piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from threading import Lock
from weakref import WeakValueDictionary

from imil.store.room_queries import Packed

PIECE = 256 * 1024  # bytes; the next one is sent when the browser has taken the last


class _Loading:
    """A lock for one film, which goes when nobody loads it."""

    def __init__(self) -> None:
        self.lock = Lock()


class SharedFilms:
    """Films that are being sent. One that nobody is sent any more is released."""

    def __init__(self) -> None:
        self._films: WeakValueDictionary[Hashable, Packed] = WeakValueDictionary()
        self._loading: WeakValueDictionary[Hashable, _Loading] = WeakValueDictionary()
        self._guard = Lock()

    def get(self, key: Hashable, load: Callable[[], Packed | None]) -> Packed | None:
        """The film of that key; loaded once for all who ask at the same time."""
        with self._guard:
            loading = self._loading.setdefault(key, _Loading())
        with loading.lock:
            film = self._films.get(key)
            if film is None:
                film = load()
                if film is not None:
                    self._films[key] = film
        return film


async def pieces(film: Packed) -> AsyncIterator[memoryview]:
    """The film's data, without a copy."""
    view = memoryview(film.data)
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]
        await asyncio.sleep(0)  # others get their turn, and a lost connection is noticed
