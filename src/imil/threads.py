"""A thread pool that processes many files in order, with few results in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")
MAX_THREADS = 8  # each holds originals: memory must not grow with the number of processors


def in_order(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """The result of `work` for each item, in the items' order.

    Each thread works on one item, and as many results wait: memory does not grow with the number
    of items, however slowly the results are consumed.
    """
    threads = min(processors(), MAX_THREADS)
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # the caller may stop early
            for future in waiting:
                future.cancel()


def processors() -> int:
    """Number of processors that this process may use; a cluster may allow fewer than exist."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
