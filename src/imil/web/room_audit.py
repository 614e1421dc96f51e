"""What the audit holds beyond readings: failed sign-ins, and each film that was opened."""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from threading import Lock
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from imil.errors import StoreError
from imil.store import Store
from imil.store.audit import record
from imil.store.invitations import Visitor

MOST_FAILURES = 60  # recorded in a minute, from all addresses: nobody may fill the disk
MINUTE = 60.0  # seconds
REMEMBERED = 20_000  # films of sessions; a film that is opened once more later is recorded again

_failures: deque[float] = deque(maxlen=MOST_FAILURES)
_lock = Lock()


class OpenedFilms:
    """Films that visitors have opened, each recorded once a session."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = Lock()

    def record(self, store: Store, visitor: Visitor, image: str) -> None:
        """Record that the visitor has opened the film, unless that is recorded.

        Raises: StoreError: it cannot be recorded, and so must not be shown.
        """
        key = (visitor.session, image)
        with self._lock:
            if key in self._known:
                return
        with store.write() as db:
            record(db, visitor.run, visitor.name, "film opened", image[:12])
        with self._lock:
            self._known[key] = None
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


def record_failed_sign_in(store: Store, address: str, why: str) -> None:
    """Record that a link opened nothing, and from where; not more often than once a second."""
    with _lock:
        if len(_failures) == MOST_FAILURES and _failures[0] > monotonic() - MINUTE:
            return
        _failures.append(monotonic())
    with suppress(StoreError, SQLAlchemyError), store.write() as db:  # the page says why it failed
        record(db, "", address[:200], "failed sign-in", why)
