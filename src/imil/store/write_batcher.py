"""Small writes of many threads in one transaction: one wait for the disk instead of many.

A disk says "written" a hundred times a second, a good one some thousands; a hundred readers who
submit in the same second must not queue for it one by one. Whoever comes first does the work
of all who came by then; nobody is answered before the disk has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import Connection

from imil.errors import ImilError

T = TypeVar("T")


class _Job(Generic[T]):
    """What one thread wants written, and what came of it."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.done = False
        self.error: BaseException | None = None
        self.results: list[T] = []

    def run(self, db: Connection) -> None:
        """Do the work, or keep why it was refused; what it had written is taken back."""
        try:
            with db.begin_nested():
                self.results = [self.work(db)]
        except ImilError as error:
            self.error = error

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.results[0]


class WriteBatcher:
    """Collects the writes of several threads.

    Args:
        write: opens a transaction that is on disk when it ends.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._write = write
        self._waiting: deque[_Job[object]] = deque()
        self._turn = Lock()

    def do(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once it is on disk; what it raises, with nothing written.

        Args:
            work: a few quick statements. An `ImilError` of one thread's work leaves the others'
                alone; if the transaction fails, it fails for all.
        """
        job = _Job(work)
        self._waiting.append(job)  # type: ignore[arg-type]  # T is nobody's business here
        with self._turn:
            if not job.done:
                self._all()
        return job.outcome()

    def _all(self) -> None:
        jobs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._write() as db:
                if len(jobs) == 1:  # nobody else's work to keep apart
                    jobs[0].results = [jobs[0].work(db)]
                else:
                    for job in jobs:
                        job.run(db)
        except BaseException as error:
            for job in jobs:
                job.error = error
            raise
        finally:
            for job in jobs:
                job.done = True
