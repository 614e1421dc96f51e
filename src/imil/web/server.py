"""Running the server: where it listens, what it says, and beside whom."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from imil.errors import SettingsError
from imil.web.app import EVERYWHERE, create_app

PORT = 8090  # asked for first; the next free one is taken
TRIES = 50  # ports
LAST = 65_535
MANY = 1_000  # connections at once
_TAKEN = (errno.EADDRINUSE, errno.EACCES) if sys.platform == "win32" else (errno.EADDRINUSE,)


@dataclass(frozen=True)
class Place:
    """Where to listen, and how people get there.

    Args:
        host: address to bind; 127.0.0.1 is this machine alone.
        port: the first port to try; 0 takes any free one.
        tls_cert, tls_key: PEM files of the certificate chain and its key.
        insecure: listen beyond this machine without TLS.
        behind_proxy: believe the proxy in front about the visitor's address and scheme.
        public_url: the address that people use, if it is another.
        framed_by: the one origin that may show the page in a frame.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    behind_proxy: bool = False
    public_url: str | None = None
    framed_by: str | None = None

    def checked(self) -> Place:
        """The same place, if it is a safe one.

        Raises: SettingsError: it is not, and what to do.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("--tls-cert and --tls-key belong together: give both or neither")
        if not 0 <= self.port <= LAST:
            raise SettingsError(f"--port {self.port} is no port: give 0 (any free one) to {LAST}")
        for file in (self.tls_cert, self.tls_key):
            if file is not None and not file.is_file():
                raise SettingsError(f"there is no file {file}: name a PEM file")
        if not (_is_loopback(self.host) or self.tls_cert or self.insecure):
            raise SettingsError(
                f"--host {self.host} would send readings and cookies in the clear: give "
                "--tls-cert and --tls-key, or --insecure if the network is yours alone"
            )
        if self.tls_cert is not None and self.tls_key is not None:
            _check_certificate(self.tls_cert, self.tls_key)
        if self.public_url is not None:
            check_address("--public-url", self.public_url)
        return self

    def address(self, port: int) -> str:
        """What people type, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        name = socket.gethostname() if self.host in EVERYWHERE else self.host
        name = f"[{name}]" if ":" in name else name
        return f"{'https' if self.tls_cert else 'http'}://{name}:{port}"


def check_address(flag: str, address: str) -> None:
    """Raises: SettingsError: it is none that a browser can open."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:  # such as a bracket that is not closed
        good = False
    if not good:
        raise SettingsError(
            f"{flag} {address} is no address: give one such as https://reading.example.org"
        )


def _check_certificate(cert: Path, key: Path) -> None:
    """Raises: SettingsError: they do not belong together, or one of them is not readable PEM."""
    try:
        # without a password to give, a key that has one fails here rather than ask for it
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise SettingsError(
            f"{cert} and {key} cannot be used as certificate and key: give PEM files that belong "
            "together, the key without a password"
        ) from error


def listen(place: Place, say: Callable[[str], None]) -> socket.socket:
    """A socket on the place's port or on the next free one.

    Raises: SettingsError: the address is not this machine's, or no port is free.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    last = min(place.port + TRIES - 1, LAST) if place.port else 0
    for port in range(place.port, last + 1):
        # with the protocol named, asyncio turns off the wait for more to send (Nagle), which
        # together with a browser that delays its acknowledgements costs 40 ms an answer
        door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # a port in TIME_WAIT is free; a port that somebody listens on is not
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((place.host, port))
            door.listen(2048)
        except OSError as error:
            door.close()
            if error.errno not in _TAKEN:
                raise SettingsError(
                    f"cannot listen on {place.host} port {port} ({error.strerror}): "
                    "give an address of this machine and a port above 1023"
                ) from error
            continue
        if place.port and port != place.port:
            say(f"Port {place.port} is in use; the reading room is at port {port} instead.")
        return door
    raise SettingsError(f"no port from {place.port} to {last} is free: give another with --port")


def server(store_path: Path | str, place: Place) -> uvicorn.Server:
    """The server, ready for `run(sockets=[...])`."""
    app = create_app(
        store_path,
        hosts=[place.host],
        public_url=place.public_url,
        framed_by=place.framed_by,
    )
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # it would write secrets of links
        server_header=False,
        proxy_headers=place.behind_proxy,
        forwarded_allow_ips="*" if place.behind_proxy else "",
        ssl_certfile=place.tls_cert,
        ssl_keyfile=place.tls_key,
        limit_concurrency=MANY,
        timeout_graceful_shutdown=5,
        ws="none",
    )
    _log_plainly()
    return uvicorn.Server(config)


def _log_plainly() -> None:
    """One line on stderr for each thing that the owner should know."""
    log = logging.getLogger("imil.web")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s reading room: %(message)s"))
        log.addHandler(handler)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
