"""The thread of rank 0 that notices when another rank ends, whatever rank 0 itself does."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from imil.training.ranks.channel import Failed, Peer, last_word

SIGNAL = signal.SIGUSR2  # to the main thread, whatever it waits for
SETTLE_SECONDS = 2.0  # after a first rank has ended: others may be the reason
GRACE_SECONDS = 30.0  # until this process is ended, where a collective operation never returns


class RankEnded(BaseException):
    """Raised in the main thread; no handler of errors or of Ctrl-C is meant for it."""


class Watch:
    """Reads what other ranks send, and interrupts the main thread when one of them ends.

    Args:
        peers: the other ranks.
        lost: called first, in a thread of its own, with the sentence that says which and why.
    """

    def __init__(self, peers: Mapping[int, Peer], lost: Callable[[str], object]) -> None:
        self._peers, self._lost = dict(peers), lost
        self.messages: queue.Queue[Any] = queue.Queue()
        self.sentence = ""  # once a rank has ended
        self._ended, self._handled = threading.Event(), threading.Event()
        self._before: Any = None
        self._lock = threading.Lock()  # no interrupt once it is handled
        self._thread = threading.Thread(target=self._run, name="imil-ranks", daemon=True)

    def start(self) -> None:
        """Begin; only the main thread can be interrupted."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(SIGNAL, _interrupt)
        self._thread.start()

    def settle(self, seconds: float) -> None:
        """Wait so long for a rank to have ended, where an error may follow from it."""
        with suppress(RankEnded):  # the interrupt of what has failed already
            self._ended.wait(seconds)

    def stop(self) -> None:
        """From now on the end of a rank is no surprise."""
        with self._lock:
            self._handled.set()
        if self._before is not None:
            signal.signal(SIGNAL, self._before)
            self._before = None

    def _run(self) -> None:
        waiting = {peer.connection: peer for peer in self._peers.values()}
        while not self._handled.is_set():
            for connection in wait(list(waiting), timeout=1.0):
                word = last_word(connection)  # type: ignore[arg-type]
                if word is None or isinstance(word, Failed):
                    self._end(_sentence(self._others(waiting, connection, word)))
                    return
                self.messages.put(word)

    def _others(
        self, waiting: Mapping[Any, Peer], connection: Any, word: Failed | None
    ) -> list[tuple[Peer, Failed | None]]:
        """Which ranks have ended, and their last words: one may end because of another."""
        ended = [(waiting[connection], word)]
        rest = {key: peer for key, peer in waiting.items() if key is not connection}
        until = time.monotonic() + SETTLE_SECONDS
        while rest and not self._handled.is_set() and (left := until - time.monotonic()) > 0:
            for one in wait(list(rest), timeout=left):
                said = last_word(one)  # type: ignore[arg-type]
                if said is None or isinstance(said, Failed):
                    ended.append((rest.pop(one), said))
        return ended

    def _end(self, sentence: str) -> None:
        with self._lock:
            if self._handled.is_set():
                return
            self.sentence = sentence
            self._lost(sentence)  # on disk before anything else
            if self._before is not None:
                signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)
            self._ended.set()
        if not self._handled.wait(GRACE_SECONDS):
            print(f"imil: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - the last line
            os._exit(2)


def _sentence(ended: list[tuple[Peer, Failed | None]]) -> str:
    """About the rank that ended first: a killed one before one with an error of its own."""
    peer, word = min(ended, key=lambda one: 0 if one[1] is None else 2 - one[1].own)
    if word is None:
        return f"the process of {peer.hello} ended (killed, or out of memory)"
    return f"{peer.hello} failed: {word.reason}"


def _interrupt(_number: int, _frame: Any) -> None:
    raise RankEnded
