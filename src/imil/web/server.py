"""Configuration, socket and uvicorn server of the reading room."""

from __future__ import annotations

import errno
import ipaddress
import logging
import re
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from imil.errors import SettingsError
from imil.output_text import LogFormatter
from imil.store_address import Location
from imil.web.app import WILDCARD_ADDRESSES, create_app
from imil.web.connections import MAX_CONNECTIONS, GuardedConnection

PORT = 8090  # default; the next free one if it is in use
PORTS_TO_TRY = 50
MAX_PORT = 65_535
FRAME_SOURCE = re.compile(r"'self'|https?://[\w.-]+(:(\d{1,5}|\*))?")
_PORT_TAKEN = (errno.EADDRINUSE, errno.EACCES) if sys.platform == "win32" else (errno.EADDRINUSE,)


@dataclass(frozen=True)
class ServerConfig:
    """Address, TLS and proxy settings of the server.

    Args:
        host: address to bind; 127.0.0.1 accepts connections of this machine only.
        port: the first port to try; 0 takes any free one.
        tls_cert, tls_key: PEM files of the certificate chain and its key.
        insecure: accept connections of other machines without TLS.
        behind_proxy: addresses or networks, with commas, of the proxies whose headers are trusted
            for client address and scheme.
        public_url: the address that readers use, if it differs.
        framed_by: the only pages that may show the page in a frame, as sources of
            `frame-ancestors` with a space between them: origins, or 'self'.
        introduction: see `imil.web.middleware.SecurityMiddleware`.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    behind_proxy: str | None = None
    public_url: str | None = None
    framed_by: str | None = None
    introduction: str | None = field(default=None, repr=False)

    def validated(self) -> ServerConfig:
        """The configuration itself, if it is valid and secure.

        Raises: SettingsError: it is not.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("--tls-cert and --tls-key belong together: give both or neither")
        if not 0 <= self.port <= MAX_PORT:
            raise SettingsError(
                f"invalid --port {self.port}: expected 0 (any free port) to {MAX_PORT}"
            )
        for file in (self.tls_cert, self.tls_key):
            if file is not None and not file.is_file():
                raise SettingsError(f"file not found: {file}: give a PEM file")
        if not (_is_loopback(self.host) or self.tls_cert or self.insecure):
            raise SettingsError(
                f"--host {self.host} would send readings and cookies unencrypted: give "
                "--tls-cert and --tls-key, or --insecure if the network is private"
            )
        if self.tls_cert is not None and self.tls_key is not None:
            _check_certificate(self.tls_cert, self.tls_key)
        if self.behind_proxy is not None:
            _check_proxies(self.behind_proxy)
        if self.public_url is not None:
            check_url("--public-url", self.public_url)
        if self.framed_by is not None:
            _check_frame_sources(self.framed_by)
        return self

    def address(self, port: int) -> str:
        """The URL that readers open, without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        name = socket.gethostname() if self.host in WILDCARD_ADDRESSES else self.host
        name = f"[{name}]" if ":" in name else name
        return f"{'https' if self.tls_cert else 'http'}://{name}:{port}"


def _check_proxies(addresses: str) -> None:
    """Raises: SettingsError: they are not addresses, or everybody's."""
    try:
        networks = [ipaddress.ip_network(one.strip()) for one in addresses.split(",")]
    except ValueError:
        networks = []
    if not networks or any(network.prefixlen == 0 for network in networks):
        raise SettingsError(
            f"invalid --behind-proxy {addresses}: give the address that the proxy connects from, "
            "such as 127.0.0.1; with commas where there are several"
        )


def _check_frame_sources(sources: str) -> None:
    """Raises: SettingsError: one is neither an origin nor 'self', or admits every page."""
    for source in sources.split(" "):
        if not FRAME_SOURCE.fullmatch(source):
            raise SettingsError(
                f"invalid framed_by {source!r}: expected an origin such as http://localhost:8888, "
                "or 'self'"
            )


def check_url(flag: str, address: str) -> None:
    """Raises: SettingsError: it is not an http or https URL."""
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:  # such as an unclosed bracket
        valid = False
    if not valid:
        raise SettingsError(
            f"invalid {flag} {address}: expected a URL such as https://reading.example.org"
        )


def _check_certificate(cert: Path, key: Path) -> None:
    """Raises: SettingsError: they do not match, or are not readable PEM."""
    try:
        # a key with a password fails here rather than asks for it
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise SettingsError(
            f"{cert} and {key} cannot be used as certificate and key: give PEM files that match, "
            "the key without a password"
        ) from error


def open_socket(config: ServerConfig, say: Callable[[str], None]) -> socket.socket:
    """A listening socket on the configured port or on the next free one.

    Raises: SettingsError: not an address of this machine, or no port is free.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    last = min(config.port + PORTS_TO_TRY - 1, MAX_PORT) if config.port else 0
    for port in range(config.port, last + 1):
        # asyncio sets TCP_NODELAY only on sockets with an explicit protocol; without it, Nagle's
        # algorithm and delayed acknowledgements take 40 ms a response
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # allows a port in TIME_WAIT, but not one with a listener
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((config.host, port))
            sock.listen(2048)
        except OSError as error:
            sock.close()
            if error.errno not in _PORT_TAKEN:
                raise SettingsError(
                    f"cannot listen on {config.host} port {port} ({error.strerror}): "
                    "give an address of this machine and a port above 1023"
                ) from error
            continue
        if config.port and port != config.port:
            say(f"Port {config.port} is in use; the reading room is at port {port} instead.")
        return sock
    raise SettingsError(f"no port from {config.port} to {last} is free: give another with --port")


def make_server(store_path: Location | str, config: ServerConfig) -> uvicorn.Server:
    """The uvicorn server, to be started with `run(sockets=[...])`."""
    app = create_app(
        store_path,
        hosts=[config.host],
        public_url=config.public_url,
        framed_by=config.framed_by,
        introduction=config.introduction,
    )
    uvicorn_config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # it would contain secrets of links
        server_header=False,
        http=GuardedConnection,
        proxy_headers=config.behind_proxy is not None,
        forwarded_allow_ips=config.behind_proxy or "",
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=5,
        ws="none",
    )
    _configure_log()
    return uvicorn.Server(uvicorn_config)


def _configure_log() -> None:
    """Write warnings to stderr, one line each."""
    log = logging.getLogger("imil.web")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(LogFormatter("%(asctime)s reading room: %(message)s"))
        log.addHandler(handler)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
