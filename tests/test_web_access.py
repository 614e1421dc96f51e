"""Access control of the reading room, security headers, links and the server process."""

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import zlib
from datetime import datetime

import httpx
import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from rooms import (
    ANY_PORT,
    APPS,
    JSON,
    add_round,
    link,
    make_store,
    reading,
    send,
    serving,
    visiting,
)
from sqlalchemy import create_engine
from starlette.routing import Mount

from imil.errors import SettingsError, StoreError
from imil.store import Store
from imil.store.audit import newest
from imil.store.clock import now
from imil.store.invitations import IDLE, invitations, invite, revoke, visited
from imil.store.run_progress import Progress
from imil.web import serve_commands
from imil.web.app import create_app
from imil.web.child_server import start_server_process
from imil.web.page_files import STATIC
from imil.web.server import ServerConfig, open_socket

ID = "e" * 32

# Route -> status for each kind of visitor: without a cookie, with an invalid one, a reader of the
# run, a reader of another run, the owner. A route that is missing here fails the test.
PUBLIC = (200, 200, 200, 200, 200)
SIGNED_IN = (401, 401, 200, 200, 200)
OF_A_FILM = (401, 401, 404, 404, 404)  # which has no slices
OF_THE_RUN = (401, 401, 200, 404, 200)
OWNER = (401, 401, 403, 403, 200)
RIGHTS = {
    ("GET", "/"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/static/{path}"): PUBLIC,
    ("GET", "/in/{secret}"): (404, 404, 404, 404, 404),
    ("POST", "/in/{secret}"): (404, 404, 404, 404, 404),
    ("POST", "/api/lock"): (401, 401, 401, 401, 401),  # after signing out
    ("POST", "/api/invitations/{invitation}/renewal"): OWNER,
    ("GET", "/api/openapi.json"): SIGNED_IN,
    ("GET", "/api/session"): SIGNED_IN,
    ("GET", "/api/practice"): SIGNED_IN,
    ("GET", "/api/practice/{tag}/film"): SIGNED_IN,
    ("GET", "/api/practice/{tag}/{which}"): SIGNED_IN,
    ("GET", "/api/rounds/practice/cases/1/preview"): SIGNED_IN,
    ("GET", "/api/images/{sha256}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}/cases/{number}/heat-map/{which}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}/cases/{number}/heat-map/{which}/energy"): OF_A_FILM,
    ("GET", "/api/rounds/{epoch}/cases/{number}/preview"): OF_THE_RUN,
    ("PUT", "/api/rounds/{epoch}/cases/{number}/readings/{reading}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}/learned"): OF_THE_RUN,
    # not a blind-first study: there is no first look
    ("PUT", "/api/rounds/{epoch}/cases/{number}/first-look/{look}"): (401, 401, 409, 404, 409),
    # the reader has read one case of three, the owner none
    ("POST", "/api/rounds/{epoch}/finish"): (401, 401, 409, 404, 409),
    ("GET", "/api/lobby"): OWNER,
    ("GET", "/api/rounds/{epoch}/results"): OWNER,
    ("GET", "/api/readings.csv"): OWNER,
    ("GET", "/api/audit"): OWNER,
    ("POST", "/api/invitations"): OWNER,
    ("DELETE", "/api/invitations/{invitation}"): OWNER,
    ("POST", "/api/rounds/{epoch}/close"): OWNER,
    ("POST", "/api/rounds/{epoch}/reopen"): OWNER,
    ("POST", "/api/sign-out"): SIGNED_IN,
}
VISITORS = ("anonymous", "invalid", "reader", "other", "owner")
LAST = [
    ("POST", "/api/rounds/{epoch}/close"),
    ("POST", "/api/sign-out"),
    ("POST", "/api/lock"),
]
BODIES = {
    "/api/rounds/{epoch}/cases/{number}/first-look/{look}": {"squares": [1], "seconds": 1},
    "/api/invitations": {"name": "Dr. Abe", "days": 1},
}


@pytest.fixture
def store(tmp_path):
    opened = make_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def address(store):
    with serving(store.path) as url:
        yield url


def cookie_of(address):
    """The name of the session cookie of a server."""
    return APPS[address].state.cookie


def routes(app):
    """Method and path of every route."""
    flat = []
    for route in app.routes:  # newer FastAPI keeps an included router as it is
        inner = getattr(route, "original_router", None)
        flat += inner.routes if inner else [route]
    mounts = {("GET", f"{route.path}/{{path}}") for route in flat if isinstance(route, Mount)}
    return mounts | {
        (method, route.path)
        for route in flat
        if not isinstance(route, Mount)
        for method in route.methods - {"HEAD", "OPTIONS"}
    }


def request(browser, method, path, values):
    """The response to a request on a route."""
    url = path.format(**values)
    if method in ("GET", "DELETE") or path.startswith("/in/"):
        return browser.request(method, url)
    body = BODIES.get(path, reading() if "readings" in path else {})
    return browser.request(method, url, json=body)


def test_every_route_is_open_to_the_right_visitors_only(store, address):
    assert routes(APPS[address]) == set(RIGHTS), "add the new route to RIGHTS"
    add_round(store, run="other", epoch=30)
    spare = invite(store, "films", "Dr. Spare", by="owner")[0].id
    secrets = {
        "reader": link(store),
        "other": link(store, "Dr. Elsewhere", run="other"),
        "owner": link(store, "owner", kind="owner"),
    }
    with visiting(address, link(store, "owner", kind="owner")) as owner:
        image = owner.get("/api/rounds/70").json()["cases"][0]["image"]["url"]
        static = next(iter(sorted(p.name for p in STATIC.glob("*.js"))))
    values = {
        "epoch": 70,
        "number": 1,
        "which": "true",
        "sha256": image.rsplit("/")[-1],
        "path": static,
        "secret": "x" * 43,
        "tag": "0",
        "invitation": spare,
    }
    ordered = [route for route in RIGHTS if route not in LAST] + LAST
    for column, who in enumerate(VISITORS):
        with visiting(address, secrets.get(who)) as browser:
            if who == "invalid":
                browser.cookies.set(cookie_of(address), "A" * 43)
            for method, path in ordered:
                ids = {"reading": f"{column:032x}", "look": f"{column:032x}"}
                answer = request(browser, method, path, values | ids)
                expected = RIGHTS[method, path][column]
                assert answer.status_code == expected, f"{who}: {method} {path}: {answer.text}"


def test_rounds_of_two_runs_at_the_same_epoch_are_separate(store, address):
    add_round(store, run="other", epoch=70, cases=2)
    with visiting(address, link(store, "Dr. Abe", run="other")) as abe:
        assert len(abe.get("/api/rounds/70").json()["cases"]) == 2
        send(abe, 1)
    assert store.readings("films@70") == []
    assert [one.reader for one in store.readings("other@70")] == ["Dr. Abe"]


def test_the_link_becomes_a_cookie_and_leaves_the_address_bar(store, address):
    with visiting(address) as browser:
        answer = browser.post(f"/in/{link(store)}")
    assert (answer.status_code, answer.headers["location"]) == (303, "../")
    cookie = answer.headers["set-cookie"]
    flags = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags, "a browser would not send it back over http"


def test_no_secret_is_in_the_store(store, address):
    secret = link(store)
    with visiting(address, secret) as browser:
        token = browser.cookies[cookie_of(address)]
    store.close()
    for file in store.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert token.encode() not in file.read_bytes()


def test_invalid_expired_and_revoked_links_have_different_messages(store, address):
    late, revoked = link(store, "Dr. Late", days=1e-9), link(store, "Dr. Gone")
    revoke(store, "films", invitations(store, "films")[-1].id, by="owner")
    with visiting(address) as browser:
        for secret, status, message in (
            ("nonsense", 404, "unknown"),
            ("%00%ff", 404, "unknown"),
            ("x" * 9000, 404, "unknown"),
            (late, 410, "expired"),
            (revoked, 410, "withdrawn"),
        ):
            answer = browser.post(f"/in/{secret}")
            assert answer.status_code == status
            assert message in answer.text
            assert answer.headers["content-type"].startswith("text/html")
            assert "set-cookie" not in answer.headers


def test_revoking_a_link_ends_its_sessions(store, address):
    with visiting(address, link(store)) as lee:
        assert send(lee, 1).status_code == 200
        revoke(store, "films", invitations(store, "films")[0].id, by="owner")
        answer = send(lee, 2)
        assert answer.status_code == 401
        assert "link" in answer.json()["detail"]
    assert len(store.readings("films@70")) == 1, "readings stay"


def test_a_session_ends_when_its_link_expires(store, address):
    with visiting(address, link(store)) as lee:
        with sqlite3.connect(store.path) as db:
            db.execute("UPDATE invitations SET expires = ?", (now(seconds=-1),))
        db.close()
        assert lee.get("/api/session").status_code == 401


def test_signing_out_ends_one_session_and_clears_the_browser(store, address):
    secret = link(store)
    with visiting(address, secret) as one, visiting(address, link(store)) as two:
        token = one.cookies[cookie_of(address)]
        answer = one.post("/api/sign-out", json={})
        assert answer.status_code == 200
        assert answer.headers["clear-site-data"] == '"cache", "storage"'
        assert cookie_of(address) not in one.cookies
        assert one.post(f"/in/{secret}").status_code == 410, "the link is used up"
        one.cookies.set(cookie_of(address), token)
        assert one.get("/api/session").status_code == 401
        assert two.get("/api/session").status_code == 200


def test_looking_at_a_link_opens_nothing_and_a_press_opens_it_in_one_browser(store, address):
    secret = link(store)
    with visiting(address) as program, visiting(address) as lee, visiting(address) as thief:
        for _ in range(2):
            page = program.get(f"/in/{secret}")
            assert page.status_code == 200
            assert "This link is for Dr. Lee." in page.text
            assert "set-cookie" not in page.headers
            assert "form-action 'self'" in page.headers["content-security-policy"]
            assert page.headers["referrer-policy"] == "same-origin", "or the form has no origin"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        another_site = form | {"Origin": "https://evil.example"}
        assert thief.post(f"/in/{secret}", headers=another_site).status_code == 403
        assert lee.post(f"/in/{secret}", headers=form).status_code == 303
        for browser in (thief, program):
            assert browser.post(f"/in/{secret}").status_code == 410
            assert "another browser" in browser.get(f"/in/{secret}").text
        assert lee.post(f"/in/{secret}").status_code == 303, "the browser that has opened it"


def test_the_owner_renews_a_link(store, address):
    secret = link(store, days=3)
    with (
        visiting(address, secret) as lee,
        visiting(address, link(store, "owner", kind="owner")) as owner,
    ):
        (id_,) = [one.id for one in invitations(store, "films") if one.kind == "reader"]
        new = owner.post(f"/api/invitations/{id_}/renewal", json={}).json()
        assert (new["name"], new["link"].startswith(f"{address}/in/")) == ("Dr. Lee", True)
        assert lee.get("/api/session").status_code == 401
        assert lee.post(new["link"]).status_code == 303
        days = [_days(one) for one in invitations(store, "films") if one.name == "Dr. Lee"]
        assert days == [3, 3]
        assert owner.post("/api/invitations/0123/renewal", json={}).status_code == 404


def _days(invitation):
    life = datetime.fromisoformat(invitation.expires) - datetime.fromisoformat(invitation.created)
    return round(life.total_seconds() / 86_400)


def test_a_session_without_requests_ends_and_the_link_opens_it_again_there_alone(store, address):
    secret = link(store)
    with visiting(address, secret) as lee, visiting(address) as other:
        with sqlite3.connect(store.path) as db:
            db.execute("UPDATE sessions SET last_seen = ?", (now(seconds=-IDLE - 1),))
        db.close()
        assert lee.get("/api/session").status_code == 401
        assert other.post(f"/in/{secret}").status_code == 410
        assert lee.post(f"/in/{secret}").status_code == 303
        assert lee.post("/api/lock", json={}).status_code == 200, "the page saw no input"
        assert lee.get("/api/session").status_code == 401
        assert lee.post(f"/in/{secret}").status_code == 303
    assert "no input" in [line.detail for line in newest(store, "films")]


def test_the_audit_has_failed_sign_ins_and_each_film_once_a_session(store, address):
    with visiting(address, link(store)) as lee:
        cases = lee.get("/api/rounds/70").json()["cases"]
        for url in [case["image"]["url"] for case in cases] * 2:
            answer = lee.get(url)
            assert answer.headers["cache-control"] == "no-store"
        lee.get("/in/guess")
    lines = [line for line in newest(store, "films") if line.what == "film opened"]
    assert [line.who for line in lines] == ["Dr. Lee"] * len(cases)
    assert {line.detail for line in lines} == {
        case["image"]["url"].rsplit("/")[-1][:12] for case in cases
    }
    failed = newest(store, "")[0]
    assert (failed.what, failed.who) == ("failed sign-in", "127.0.0.1")


def test_guessing_links_is_rate_limited(store, address):
    good = link(store)
    with visiting(address) as browser:
        statuses = [browser.get(f"/in/guess-{i}").status_code for i in range(25)]
        assert statuses == [404] * 20 + [429] * 5
        assert browser.post(f"/in/{good}").status_code == 429


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "a b"])
def test_another_host_name_is_rejected(store, address, host):
    with visiting(address, link(store)) as lee:
        answer = lee.get("/api/session", headers={"Host": host})
        assert answer.status_code in (400, 421)


def test_configured_host_names_are_accepted(store):
    config = ServerConfig(port=0, public_url="https://reading.example.org")
    with serving(store.path, config) as address, visiting(address) as browser:
        for host in ("reading.example.org", "localhost:8090", "127.0.0.1"):
            assert browser.get("/healthz", headers={"Host": host}).status_code == 200
        own = {"Host": "reading.example.org", "Origin": "https://reading.example.org"}
        answer = browser.post(f"/in/{link(store)}", headers=own)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-imil_session_"), "no other host of the domain can set it"
        assert {"Secure", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_sites_cannot_write(store, address, headers, status):
    with visiting(address, link(store)) as lee:
        del lee.headers["Origin"]
        answer = lee.put(f"/api/rounds/70/cases/1/readings/{ID}", json=reading(), headers=headers)
        assert answer.status_code == status
    assert len(store.readings("films@70")) == (status == 200)


def test_every_response_has_the_security_headers(store, address):
    with visiting(address, link(store)) as lee:
        answers = [
            lee.get("/"),
            lee.get("/api/session"),
            lee.get("/nothing"),
            lee.get("/in/wrong"),
            lee.put("/api/rounds/70/cases/1/readings/" + ID, content=b"{", headers=JSON),
            lee.get("/", headers={"Host": "evil.example"}),
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers
    assert answers[1].headers["cache-control"] == "no-store"


def test_only_the_configured_notebook_may_frame_the_page(store):
    config = ServerConfig(port=0, framed_by="http://127.0.0.1:8888")
    with serving(store.path, config) as address, visiting(address) as browser:
        answer = browser.get("/")
    assert "frame-ancestors http://127.0.0.1:8888" in answer.headers["content-security-policy"]
    assert "x-frame-options" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "reading.example.org"])
def test_a_network_without_tls_needs_insecure(host):
    with pytest.raises(SettingsError, match="--insecure"):
        ServerConfig(host).validated()
    assert ServerConfig(host, insecure=True).validated()
    for local in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert ServerConfig(local).validated()


@pytest.mark.parametrize(
    "config",
    [
        ServerConfig(tls_cert="room.pem"),
        ServerConfig(tls_key="room.key"),
        ServerConfig(public_url="reading.example.org"),
        ServerConfig(public_url="https://"),
        ServerConfig(public_url="https://[::1"),
        ServerConfig(port=65_536),
        ServerConfig(port=-1),
    ],
)
def test_an_invalid_configuration_is_rejected(config):
    with pytest.raises(SettingsError):
        config.validated()


def test_an_invalid_certificate_is_rejected_before_a_link_is_created(store, tmp_path):
    for name in ("room.pem", "room.key"):
        (tmp_path / name).write_text("not PEM")
    config = ServerConfig(port=0, tls_cert=tmp_path / "room.pem", tls_key=tmp_path / "room.key")
    before = len(invitations(store, "films"))
    with pytest.raises(SettingsError, match="cannot be used as certificate and key: give PEM"):
        serve_commands.serve_run(store.path, config, run=None, protocol=None, say=print)
    assert len(invitations(store, "films")) == before


def test_a_link_is_not_created_for_an_invalid_url(store):
    options = {"run": None, "kind": "reader", "days": 3, "say": print}
    with pytest.raises(SettingsError, match="invalid --url nonsense: expected a URL"):
        serve_commands.invite_to_run(store.path, "Dr. Lee", url="nonsense", **options)


def test_the_next_port_is_used_and_reported_if_one_is_in_use():
    lines = []
    with open_socket(ANY_PORT, lines.append) as first:
        port = first.getsockname()[1]
        with open_socket(ServerConfig(port=port), lines.append) as second:
            next_ = second.getsockname()[1]
    assert next_ > port
    assert lines == [f"Port {port} is in use; the reading room is at port {next_} instead."]


def test_connections_have_tcp_nodelay():
    """Nagle's algorithm and delayed acknowledgements together take 40 ms a response."""

    async def has_nodelay() -> bool:
        result = asyncio.get_running_loop().create_future()

        def answer(_reader, writer):
            accepted = writer.get_extra_info("socket")
            result.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
            writer.close()

        with open_socket(ANY_PORT, print) as sock:
            async with await asyncio.start_server(answer, sock=sock):
                _, writer = await asyncio.open_connection(*sock.getsockname())
                nodelay = await result
                writer.close()
        return nodelay

    assert asyncio.run(has_nodelay())


def test_an_address_of_another_machine_is_rejected():
    with pytest.raises(SettingsError, match="cannot listen"):
        open_socket(ServerConfig("192.0.2.1", 0), print)


def test_forwarded_headers_are_used_only_behind_a_proxy(store, caplog):
    # a proxy adds the address that it sees at the end: what stands before is anybody's
    forwarded = {"X-Forwarded-For": "8.8.8.8, 203.0.113.9", "X-Forwarded-Proto": "https"}
    for behind, logged, secure in ((None, "127.0.0.1", False), ("127.0.0.1", "203.0.113.9", True)):
        caplog.clear()
        config = ServerConfig(port=0, behind_proxy=behind)
        with serving(store.path, config) as address, visiting(address) as browser:
            browser.get("/in/wrong", headers=forwarded)
            cookie = browser.post(f"/in/{link(store)}", headers=forwarded).headers["set-cookie"]
        assert logged in caplog.text
        assert ("Secure" in cookie) == secure


def test_https_is_served_with_a_certificate_and_the_cookie_is_secure(store, tmp_path):
    cert, key = tmp_path / "room.pem", tmp_path / "room.key"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes a certificate with openssl, which is not installed: apt install openssl")
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([openssl, *what, *where], capture_output=True, check=True)
    with serving(store.path, ServerConfig(port=0, tls_cert=cert, tls_key=key)) as address:
        address = address.replace("http:", "https:")
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=address, verify=trust) as browser:
            answer = browser.post(f"/in/{link(store)}")
            assert "Secure" in answer.headers["set-cookie"]
            assert browser.get("/api/session").status_code == 200


def test_a_path_without_a_store_is_rejected(tmp_path):
    for path in (tmp_path, tmp_path / "imil.sqlite", tmp_path / "none"):
        with pytest.raises(StoreError, match="no store at"):
            create_app(path)
    assert list(tmp_path.iterdir()) == [], "nothing is created"


def test_a_run_folder_stands_for_its_store(store):
    for path in (store.path, store.path.parent):
        app = create_app(path)
        assert app.state.store.path == store.path
        app.state.store.close()


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\nb" * 40, "\x00", "a\u202eb"])
def test_an_invalid_reader_name_is_rejected(store, name):
    with pytest.raises(SettingsError, match="name"):
        invite(store, "films", name, by="owner")


@pytest.mark.parametrize("days", [0, -1, 3651, float("nan"), float("inf")])
def test_an_invalid_duration_of_a_link_is_rejected(store, days):
    with pytest.raises(SettingsError, match="days"):
        invite(store, "films", "Dr. Lee", days=days, by="owner")


def test_links_are_created_listed_and_revoked_by_the_commands(store, address):
    lines = []
    folder = store.path.parent
    Progress(store).set_address("films", address)
    options = {"run": None, "kind": "reader", "days": 3, "url": None, "say": lines.append}
    serve_commands.invite_to_run(folder, "Dr. Lee", **options)
    (url,) = lines
    assert url.startswith(f"{address}/in/"), "the last address served"
    with visiting(address, url.rsplit("/")[-1]) as lee:
        assert lee.get("/api/session").json()["name"] == "Dr. Lee"
        serve_commands.revoke_links(folder, "Dr. Lee", run=None, say=lines.append)
        assert lee.get("/api/session").status_code == 401
    serve_commands.list_links(folder, run=None, say=lines.append)
    assert "revoked" in lines[-1]
    with pytest.raises(StoreError, match="no valid link"):
        serve_commands.revoke_links(folder, "Dr. Lee", run=None, say=lines.append)
    with pytest.raises(StoreError, match="films"):
        serve_commands.list_links(folder, run="none", say=lines.append)


def test_the_server_process_starts_and_ends_with_the_block(store):
    start = now()
    with start_server_process(store.path, "films", config=ANY_PORT, protocol="blind-first") as room:
        assert not visited(store, "films", start)
        with httpx.Client(base_url=room.address, follow_redirects=True) as browser:
            browser.post(room.links.reader)
            session = browser.get("/api/session").json()
        assert (session["kind"], session["protocol"]) == ("reader", "blind-first")
        assert visited(store, "films", start)
    with pytest.raises(httpx.ConnectError):
        httpx.get(room.address)
    with start_server_process(store.path, "films", config=ANY_PORT) as room:
        assert room.links.reader is None, "the run has a reader already"
        assert "/in/" in room.links.owner


def test_the_owners_link_ends_with_its_server_and_a_half_sent_request_does_not_delay_that(store):
    with start_server_process(store.path, "films", config=ANY_PORT) as room:
        with visiting(room.address, room.links.owner.rsplit("/")[-1]) as owner:
            assert owner.get("/api/lobby").status_code == 200
        half = socket.create_connection(("127.0.0.1", room.port))
        half.sendall(
            b"POST /api/sign-out HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
        )
        assert httpx.get(f"{room.address}/healthz").text == "ok"  # it has the half request
        start = time.monotonic()
    taken = time.monotonic() - start
    half.close()
    assert taken < 4.5, "it waits for requests in progress, 5 s"
    assert [one.good for one in invitations(store, "films") if one.kind == "owner"] == [False]


def test_the_owner_can_revoke_another_owners_link(store, address):
    mine, other = (link(store, name, kind="owner") for name in ("owner", "Study office"))
    with visiting(address, mine) as owner, visiting(address, other) as office:
        links = owner.get("/api/lobby").json()["invitations"]
        (offices,) = [one["id"] for one in links if one["name"] == "Study office"]
        assert owner.delete(f"/api/invitations/{offices}").status_code == 200
        assert office.get("/api/lobby").status_code == 401


def test_rooms_of_two_stores_are_open_in_one_browser(tmp_path):
    """A browser sends the cookies of one port to all ports of the same host."""
    stores = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        stores.append(make_store(tmp_path / name, run=name))
    with serving(stores[0].path) as first, serving(stores[1].path) as second:
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            for at, store, run in ((first, stores[0], "one"), (second, stores[1], "two")):
                browser.post(f"{at}/in/{link(store, run=run)}")
            runs = [browser.get(f"{at}/api/session").json()["run"] for at in (first, second)]
    assert runs == ["one", "two"]
    for store in stores:
        store.close()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_store_that_is_gone_is_reported_and_takes_no_reading(store, address, how, tmp_path):
    with visiting(address, link(store)) as lee:
        assert lee.get("/healthz").text == "ok"
        store.path.rename(tmp_path / "elsewhere.sqlite")
        if how == "replaced":
            shutil.copy(tmp_path / "elsewhere.sqlite", store.path)
        assert lee.get("/healthz").status_code == 503
        refused = send(lee, 1)
        assert refused.status_code == 423, "an open file would take it, and nobody find it again"
        assert "try again" in refused.json()["detail"]
        store.path.unlink(missing_ok=True)
        (tmp_path / "elsewhere.sqlite").rename(store.path)
        assert lee.get("/healthz").text == "ok"
        assert send(lee, 1).status_code == 200


def test_the_server_process_ends_when_its_parent_is_killed(store):
    script = (
        "import sys; from imil.web.child_server import start_server_process; "
        "from imil.web.server import ServerConfig; "
        f"room = start_server_process({str(store.path)!r}, 'films', config=ServerConfig(port=0)); "
        "print(room.address, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", script], **pipes)
    address = parent.stdout.readline().strip()
    assert httpx.get(f"{address}/healthz").text == "ok"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    while _accepts_connections(address):
        time.sleep(0.05)


def _accepts_connections(address):
    try:
        with socket.create_connection(("127.0.0.1", int(address.rsplit(":")[-1])), 1):
            return True
    except OSError:
        return False


def test_errors_of_the_server_process_are_raised_in_the_parent(store):
    with pytest.raises(StoreError, match="no store"):
        start_server_process(store.path.parent / "none.sqlite", "films", config=ANY_PORT)
    with pytest.raises(StoreError, match="cannot listen"):
        start_server_process(
            store.path, "films", config=ServerConfig("192.0.2.1", 0, insecure=True)
        )


def test_a_killed_server_process_is_restarted_and_a_new_address_is_reported(store):
    lines = []
    with start_server_process(store.path, "films", config=ANY_PORT) as room:
        room.restart_if_ended(lines.append)
        assert not lines, "it is running"
        address = room.address
        _kill(room)
        room.restart_if_ended(lines.append)
        assert room.address == address
        assert _accepts_connections(address)
        assert "(exit code -9) and was restarted at" in lines.pop()
        _kill(room)
        with socket.create_server(("127.0.0.1", room.port)):
            room.restart_if_ended(lines.append)
            assert room.address != address
            assert room.address in lines.pop()
            assert _accepts_connections(room.address)
        assert Progress(store).address("films") == room.address


def test_a_server_process_that_cannot_be_restarted_raises(store, monkeypatch):
    def fails(*_):
        raise StoreError("no memory")

    with start_server_process(store.path, "films", config=ANY_PORT) as room:
        _kill(room)
        monkeypatch.setattr("imil.web.child_server._start_process", fails)
        with pytest.raises(StoreError, match=r"cannot be restarted \(no memory\): every reading"):
            room.restart_if_ended(print)


def _kill(room):
    room.process.kill()
    room.process.wait()


def test_two_servers_over_one_store_share_sessions(store, address):
    with serving(store.path) as second, visiting(address, link(store)) as lee:
        cookie = {cookie_of(second): lee.cookies[cookie_of(address)]}
        with httpx.Client(base_url=second, cookies=cookie) as elsewhere:
            assert elsewhere.get("/api/session").json()["name"] == "Dr. Lee"
            send(elsewhere, 1)
        assert lee.get("/api/session").json()["rounds"][0]["read"] == 1


def test_a_store_of_an_older_version_is_migrated(tmp_path):
    path = tmp_path / "imil.sqlite"
    _old_store(path)
    store = Store(path)
    assert [one.squares for one in store.readings("films@70")] == [(6, 7)]
    with serving(path) as address, visiting(address, link(store)) as lee:
        (case,) = lee.get("/api/rounds/70").json()["cases"]
        assert (case["image"]["low"], case["image"]["high"]) == (3, 900)
        assert send(lee, 1).status_code == 200
    assert len(store.readings("films@70")) == 2
    store.close()


def _old_store(path):
    """A store of the first schema version, with a reading."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "imil:store/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    pixels = zlib.compress(np.array([[3, 900], [4, 5]], "<u2").tobytes())
    cam = zlib.compress(np.zeros((2, 2), "<f4").tobytes())
    settings = (
        '{"num_outliers": 1, "grid": [4, 4], "choice": "confident_mistakes", "fill": "blackout"}'
    )
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO runs VALUES ('films', 'then', '[\"a\", \"b\"]', '{}', '{}')")
        db.execute(
            "INSERT INTO rounds VALUES ('films@70', 'films', 70, ?, 'open', 'then', NULL)",
            (settings,),
        )
        db.execute("INSERT INTO images VALUES ('abc', 'uint16', '[2, 2]', ?)", (pixels,))
        db.execute(
            "INSERT INTO cases VALUES ('films@70#1', 'films@70', 1, 'k', 0, 1, 0.9, 'abc', "
            "'[2, 2]', ?, ?, NULL)",
            (cam, cam),
        )
        db.execute(
            "INSERT INTO readings VALUES (1, 'r', 'films@70#1', 'console', 'focus', '[6, 7]', "
            "NULL, '', 3.0, 'then')"
        )
    db.close()
