"""Clients that open connections and wait, or read slowly, keep no reader out and fill no memory."""

import socket
import tracemalloc
from contextlib import ExitStack

import httpx
import numpy as np
import pytest
from rooms import link, make_store, serving, visiting

from imil.errors import SettingsError
from imil.web import connections, middleware
from imil.web.redirect_file import open_link
from imil.web.server import ServerConfig

SIDE = 2048  # pixels; a film of 4 MB that cannot be compressed


def noise(number):
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def address(store):
    with serving(store.path) as url:
        yield url


def connect(address, data=b""):
    connection = socket.create_connection(("127.0.0.1", httpx.URL(address).port), 60)
    connection.sendall(data)
    return connection


def request_head(path, *lines, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines]).encode() + b"\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc"], ids=["nothing", "half"])
def test_a_connection_without_a_request_is_closed(monkeypatch, address, sent):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT", 0.2)
    with connect(address, sent) as connection:
        assert _is_closed(connection)


def test_a_second_request_that_is_not_completed_is_closed(monkeypatch, address):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT", 0.2)
    with connect(address, request_head("/healthz") + b"\r\n") as connection:
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HT")
        assert _is_closed(connection)


def test_a_body_that_does_not_arrive_is_answered_and_closed(monkeypatch, address):
    monkeypatch.setattr(middleware, "BODY_TIMEOUT", 0.2)
    lines = ("Content-Type: application/json", "Content-Length: 10")
    head = request_head("/api/sign-out", *lines, method="POST")
    with connect(address, head + b"\r\n{") as connection:
        assert connection.recv(10_000).startswith(b"HTTP/1.1 408")
        assert _is_closed(connection)


@pytest.mark.slow
def test_idle_connections_keep_no_reader_out(monkeypatch, store, address):
    monkeypatch.setattr(connections, "MAX_ANONYMOUS", 20)
    with visiting(address, link(store)) as lee, ExitStack() as stack:
        assert lee.get("/api/session").status_code == 200
        idle = [stack.enter_context(connect(address)) for _ in range(60)]
        lee_still = lee.get("/api/session")
        assert lee_still.status_code == 200
        with visiting(address, link(store, "Dr. New")) as new:
            assert new.get("/api/session").status_code == 200
        closed = sum(_is_closed(connection, patience=0.5) for connection in idle)
        assert closed >= 35, "the oldest had to go"


@pytest.mark.slow
def test_slow_readers_of_a_film_share_one_copy(tmp_path):
    store = make_store(tmp_path, cases=1, film=noise)
    with (
        serving(store.path) as address,
        visiting(address, link(store)) as lee,
        ExitStack() as stack,
    ):
        url = lee.get("/api/rounds/70").json()["cases"][0]["image"]["url"]
        whole = lee.get(url).content
        ((name, token),) = lee.cookies.items()
        cookie = f"Cookie: {name}={token}"
        head = request_head(f"/{url}", cookie, "Accept-Encoding: deflate") + b"\r\n"
        tracemalloc.start()
        try:
            slow = [stack.enter_context(connect(address, head)) for _ in range(20)]
            firsts = [connection.recv(1000) for connection in slow]
            assert all(first.startswith(b"HTTP/1.1 200") for first in firsts)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 5 * len(whole), f"{peak / 1e6:.0f} MB for 20 readers of 4 MB"
        received = len(firsts[0])
        while received < len(whole):
            received += len(slow[0].recv(1_000_000))
    store.close()


def _is_closed(connection, patience=60.0):
    """Whether the server closes the connection within that many seconds."""
    connection.settimeout(patience)
    try:
        while connection.recv(10_000):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize("proxies", ["*", "0.0.0.0/0", "proxy.example", ""])
def test_a_proxy_is_named_by_its_address(proxies):
    with pytest.raises(SettingsError, match="give the address that the proxy connects from"):
        ServerConfig(behind_proxy=proxies).validated()


def test_a_browser_gets_a_file_and_no_secret_in_its_arguments(tmp_path):
    opened = []
    open_link("http://127.0.0.1:8090/in/secret?a&b", tmp_path, opened.append)
    (url,) = opened
    assert url.startswith("file:")
    assert "secret" not in url
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "url=http://127.0.0.1:8090/in/secret?a&amp;b" in file.read_text()
