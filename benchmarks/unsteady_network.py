"""A connection to a server that can be cut, as a cable that is pulled."""

from __future__ import annotations

import contextlib
import socket
import threading


class UnsteadyNetwork:
    """Passes bytes between an address of its own and a port of this machine, unless it is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._whole = threading.Event()
        self._whole.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and take no other until `mend`."""
        with self._lock:
            self._whole.clear()
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Take connections again."""
        self._whole.set()

    def close(self) -> None:
        """End everything."""
        self.cut()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listening.accept()[0]
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            if not self._whole.is_set():
                raise ConnectionError
            far = socket.create_connection(("127.0.0.1", self._port), 10)
            far.settimeout(None)
        except OSError:
            near.close()
            return
        pair = (near, far)
        with self._lock:
            self._open.update(pair)
        back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
        back.start()
        self._pass_on(near, far)
        back.join()
        with self._lock:
            self._open.difference_update(pair)
        for sock in pair:
            sock.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
