"""Work on many files by a few threads, in order, with few results in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")
MOST = 8  # threads; each holds originals: memory must not grow with the processors


def in_order(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """The result of each item, in the items' order.

    One item a thread is under way, and as many results wait: memory does not grow with the
    number of items, however slowly they are taken.
    """
    threads = min(_processors(), MOST)
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # whoever takes the results may stop early
            for future in waiting:
                future.cancel()


def _processors() -> int:
    """The processors that this process may use, which a cluster sets below what there is."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
