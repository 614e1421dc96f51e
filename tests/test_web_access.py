"""Who gets into the reading room, and what every answer carries."""

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

import httpx
import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from rooms import (
    ANYWHERE,
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
from imil.store.clock import now
from imil.store.invitations import invitations, invite, revoke, visited
from imil.store.run_progress import Progress
from imil.web import serve_commands
from imil.web.app import create_app
from imil.web.child_server import start_beside
from imil.web.page_files import STATIC
from imil.web.server import Place, listen

ID = "e" * 32

# Route -> what each kind of visitor gets: without a cookie, with a wrong one, a reader of the
# run, a reader of another run, the owner. The routes of the application are compared with
# these: a new one fails the test until somebody says here who may use it.
ANYBODY = (200, 200, 200, 200, 200)
SIGNED_IN = (401, 401, 200, 200, 200)
OF_THE_RUN = (401, 401, 200, 404, 200)
OWNER = (401, 401, 403, 403, 200)
RIGHTS = {
    ("GET", "/"): ANYBODY,
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/static/{path}"): ANYBODY,
    ("GET", "/in/{secret}"): (404, 404, 404, 404, 404),
    ("GET", "/api/openapi.json"): SIGNED_IN,
    ("GET", "/api/session"): SIGNED_IN,
    ("GET", "/api/practice"): SIGNED_IN,
    ("GET", "/api/practice/{tag}/film"): SIGNED_IN,
    ("GET", "/api/practice/{tag}/{which}"): SIGNED_IN,
    ("GET", "/api/rounds/practice/cases/1/preview"): SIGNED_IN,
    ("GET", "/api/images/{sha256}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}/cases/{number}/heat-map/{which}"): OF_THE_RUN,
    ("GET", "/api/rounds/{epoch}/cases/{number}/preview"): OF_THE_RUN,
    ("PUT", "/api/rounds/{epoch}/cases/{number}/readings/{reading}"): OF_THE_RUN,
    # the study follows the paper: there is no first look, whoever asks
    ("PUT", "/api/rounds/{epoch}/cases/{number}/first-look/{look}"): (401, 401, 409, 404, 409),
    # the reader has read one case of three, the owner none
    ("POST", "/api/rounds/{epoch}/finish"): (401, 401, 409, 404, 409),
    ("GET", "/api/lobby"): OWNER,
    ("GET", "/api/audit"): OWNER,
    ("POST", "/api/invitations"): OWNER,
    ("DELETE", "/api/invitations/{invitation}"): OWNER,
    ("POST", "/api/rounds/{epoch}/close"): OWNER,
    ("POST", "/api/sign-out"): SIGNED_IN,
}
VISITORS = ("nobody", "wrong", "reader", "other", "owner")
LAST = [("POST", "/api/rounds/{epoch}/close"), ("POST", "/api/sign-out")]
BODIES = {
    "/api/rounds/{epoch}/cases/{number}/first-look/{look}": {"squares": [1], "seconds": 1},
    "/api/invitations": {"name": "Dr. Abe", "days": 1},
}


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def address(store):
    with serving(store.path) as where:
        yield where


def routes(app):
    """Method and path of everything that answers."""
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


def ask(browser, method, path, values):
    """The answer to a request on a route."""
    url = path.format(**values)
    if method in ("GET", "DELETE"):
        return browser.request(method, url)
    body = BODIES.get(path, reading() if "readings" in path else {})
    return browser.request(method, url, json=body)


def test_every_route_opens_for_those_it_should_and_for_nobody_else(store, address):
    assert routes(APPS[address]) == set(RIGHTS), "say in RIGHTS who may use the new route"
    add_round(store, run="other", epoch=30)
    spare = invite(store, "films", "Dr. Spare", by="owner")[0].id
    secrets = {
        "reader": link(store),
        "other": link(store, "Dr. Elsewhere", run="other"),
        "owner": link(store, "owner", kind="owner"),
    }
    with visiting(address, secrets["owner"]) as owner:
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
    for place, who in enumerate(VISITORS):
        with visiting(address, secrets.get(who)) as browser:
            if who == "wrong":
                browser.cookies.set("imil_session", "A" * 43)
            for method, path in ordered:
                ids = {"reading": f"{place:032x}", "look": f"{place:032x}"}
                answer = ask(browser, method, path, values | ids)
                expected = RIGHTS[method, path][place]
                assert answer.status_code == expected, f"{who}: {method} {path}: {answer.text}"


def test_the_rounds_of_another_run_of_the_same_epoch_stay_apart(store, address):
    add_round(store, run="other", epoch=70, cases=2)
    with visiting(address, link(store, "Dr. Abe", run="other")) as abe:
        assert len(abe.get("/api/rounds/70").json()["cases"]) == 2
        send(abe, 1)
    assert store.readings("films@70") == []
    assert [kept.reader for kept in store.readings("other@70")] == ["Dr. Abe"]


def test_the_link_becomes_a_cookie_and_leaves_the_address_bar(store, address):
    with visiting(address) as browser:
        answer = browser.get(f"/in/{link(store)}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    flags = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags, "a browser would not send it back over http"


def test_no_secret_is_in_the_store(store, address):
    secret = link(store)
    with visiting(address, secret) as browser:
        token = browser.cookies["imil_session"]
    store.close()
    for file in store.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert token.encode() not in file.read_bytes()


def test_a_wrong_link_and_one_that_is_over_are_told_apart(store, address):
    late, revoked = link(store, "Dr. Late", days=1e-9), link(store, "Dr. Gone")
    revoke(store, "films", invitations(store, "films")[-1].id, by="owner")
    time.sleep(0.01)
    with visiting(address) as browser:
        for secret, status, said in (
            ("nonsense", 404, "not known"),
            ("%00%ff", 404, "not known"),
            ("x" * 9000, 404, "not known"),
            (late, 410, "expired"),
            (revoked, 410, "withdrawn"),
        ):
            answer = browser.get(f"/in/{secret}")
            assert answer.status_code == status
            assert said in answer.text
            assert answer.headers["content-type"].startswith("text/html")
            assert "set-cookie" not in answer.headers


def test_revoking_a_link_ends_its_sessions_at_once(store, address):
    with visiting(address, link(store)) as lee:
        assert send(lee, 1).status_code == 200
        revoke(store, "films", invitations(store, "films")[0].id, by="owner")
        answer = send(lee, 2)
        assert answer.status_code == 401
        assert "link" in answer.json()["detail"]
    assert len(store.readings("films@70")) == 1, "what was read stays"


def test_a_session_ends_when_its_link_expires(store, address):
    with visiting(address, link(store)) as lee:
        with sqlite3.connect(store.path) as db:
            db.execute("UPDATE invitations SET expires = ?", (now(seconds=-1),))
        db.close()
        assert lee.get("/api/session").status_code == 401


def test_signing_out_ends_one_session_and_not_the_link(store, address):
    secret = link(store)
    with visiting(address, secret) as one, visiting(address, secret) as two:
        token = one.cookies["imil_session"]
        assert one.post("/api/sign-out", json={}).status_code == 200
        one.cookies.set("imil_session", token)
        assert one.get("/api/session").status_code == 401
        assert two.get("/api/session").status_code == 200


def test_somebody_who_tries_links_has_to_wait(store, address):
    good = link(store)
    with visiting(address) as browser:
        tried = [browser.get(f"/in/guess-{i}").status_code for i in range(25)]
        assert tried == [404] * 20 + [429] * 5
        assert browser.get(f"/in/{good}").status_code == 429


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "a b"])
def test_another_name_for_this_server_is_refused(store, address, host):
    with visiting(address, link(store)) as lee:
        answer = lee.get("/api/session", headers={"Host": host})
        assert answer.status_code in (400, 421)


def test_the_names_it_was_started_with_are_its_own(store):
    place = Place(port=0, public_url="https://reading.example.org")
    with serving(store.path, place) as address, visiting(address) as browser:
        for host in ("reading.example.org", "localhost:8090", "127.0.0.1"):
            assert browser.get("/healthz", headers={"Host": host}).status_code == 200
        answer = browser.get(f"/in/{link(store)}", headers={"Host": "reading.example.org"})
        assert "Secure" in answer.headers["set-cookie"]


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
def test_another_sites_page_cannot_write(store, address, headers, status):
    with visiting(address, link(store)) as lee:
        del lee.headers["Origin"]
        answer = lee.put(f"/api/rounds/70/cases/1/readings/{ID}", json=reading(), headers=headers)
        assert answer.status_code == status
    assert len(store.readings("films@70")) == (status == 200)


def test_every_answer_carries_the_headers_of_safety(store, address):
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


def test_only_the_notebook_that_is_named_may_frame_the_page(store):
    place = Place(port=0, framed_by="http://127.0.0.1:8888")
    with serving(store.path, place) as address, visiting(address) as browser:
        answer = browser.get("/")
    assert "frame-ancestors http://127.0.0.1:8888" in answer.headers["content-security-policy"]
    assert "x-frame-options" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "reading.example.org"])
def test_a_network_without_tls_is_refused_unless_said(host):
    with pytest.raises(SettingsError, match="--insecure"):
        Place(host).checked()
    assert Place(host, insecure=True).checked()
    for here in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert Place(here).checked()


@pytest.mark.parametrize(
    "place",
    [
        Place(tls_cert="room.pem"),
        Place(tls_key="room.key"),
        Place(public_url="reading.example.org"),
        Place(public_url="https://"),
        Place(public_url="https://[::1"),
        Place(port=65_536),
        Place(port=-1),
    ],
)
def test_a_place_that_cannot_be_is_refused(place):
    with pytest.raises(SettingsError):
        place.checked()


def test_a_certificate_that_is_none_is_refused_before_any_link_is_made(store, tmp_path):
    for name in ("room.pem", "room.key"):
        (tmp_path / name).write_text("no PEM")
    place = Place(port=0, tls_cert=tmp_path / "room.pem", tls_key=tmp_path / "room.key")
    before = len(invitations(store, "films"))
    with pytest.raises(SettingsError, match="cannot be used as certificate and key: give PEM"):
        serve_commands.serve_run(store.path, place, run=None, protocol=None, say=print)
    assert len(invitations(store, "films")) == before


def test_a_link_is_not_made_for_an_address_that_is_none(store):
    how = {"run": None, "kind": "reader", "days": 3, "say": print}
    with pytest.raises(SettingsError, match="--url nonsense is no address"):
        serve_commands.invite_to_run(store.path, "Dr. Lee", url="nonsense", **how)


def test_a_port_in_use_is_passed_over_and_that_is_said():
    said = []
    with listen(ANYWHERE, said.append) as first:
        port = first.getsockname()[1]
        with listen(Place(port=port), said.append) as second:
            next_ = second.getsockname()[1]
    assert next_ > port
    assert said == [f"Port {port} is in use; the reading room is at port {next_} instead."]


def test_an_answer_leaves_at_once():
    """Nagle's wait and a delayed acknowledgement together cost 40 ms an answer."""

    async def waits() -> bool:
        asked = asyncio.get_running_loop().create_future()

        def answer(_reader, writer):
            own = writer.get_extra_info("socket")
            asked.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0)
            writer.close()

        with listen(ANYWHERE, print) as door:
            async with await asyncio.start_server(answer, sock=door):
                _, writer = await asyncio.open_connection(*door.getsockname())
                found = await asyncio.wait_for(asked, 10)
                writer.close()
        return found

    assert not asyncio.run(waits())


def test_an_address_of_another_machine_is_refused_in_one_sentence():
    with pytest.raises(SettingsError, match="cannot listen"):
        listen(Place("192.0.2.1", 0), print)


def test_a_forwarded_address_counts_only_behind_a_proxy(store, caplog):
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    for behind, seen, secure in ((False, "127.0.0.1", False), (True, "203.0.113.9", True)):
        caplog.clear()
        place = Place(port=0, behind_proxy=behind)
        with serving(store.path, place) as address, visiting(address) as browser:
            browser.get("/in/wrong", headers=told)
            cookie = browser.get(f"/in/{link(store)}", headers=told).headers["set-cookie"]
        assert seen in caplog.text
        assert ("Secure" in cookie) == secure


def test_https_is_served_with_a_certificate_and_the_cookie_is_secure(store, tmp_path):
    cert, key = tmp_path / "room.pem", tmp_path / "room.key"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes a certificate with openssl, which is not installed: apt install openssl")
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([openssl, *what, *where], capture_output=True, check=True)
    with serving(store.path, Place(port=0, tls_cert=cert, tls_key=key)) as address:
        address = address.replace("http:", "https:")
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=address, verify=trust) as browser:
            answer = browser.get(f"/in/{link(store)}")
            assert "Secure" in answer.headers["set-cookie"]
            assert browser.get("/api/session").status_code == 200


def test_a_path_without_a_store_is_refused_in_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "imil.sqlite", tmp_path / "none"):
        with pytest.raises(StoreError, match="there is no store"):
            create_app(path)
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_a_run_folder_and_its_store_are_the_same(store):
    for path in (store.path, store.path.parent):
        app = create_app(path)
        assert app.state.store.path == store.path
        app.state.store.close()


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\nb" * 40, "\x00", "a\u202eb"])
def test_a_name_that_nobody_has_is_refused(store, name):
    with pytest.raises(SettingsError, match="name"):
        invite(store, "films", name, by="owner")


@pytest.mark.parametrize("days", [0, -1, 3651, float("nan"), float("inf")])
def test_a_link_that_cannot_last_so_long_is_refused(store, days):
    with pytest.raises(SettingsError, match="days"):
        invite(store, "films", "Dr. Lee", days=days, by="owner")


def test_links_are_made_listed_and_revoked_from_the_command_line(store, address):
    said = []
    folder = store.path.parent
    Progress(store).set_address("films", address)
    how = {"run": None, "kind": "reader", "days": 3, "url": None, "say": said.append}
    serve_commands.invite_to_run(folder, "Dr. Lee", **how)
    (url,) = said
    assert url.startswith(f"{address}/in/"), "where it was served last"
    with visiting(address, url.rsplit("/")[-1]) as lee:
        assert lee.get("/api/session").json()["name"] == "Dr. Lee"
        serve_commands.revoke_links(folder, "Dr. Lee", run=None, say=said.append)
        assert lee.get("/api/session").status_code == 401
    serve_commands.list_links(folder, run=None, say=said.append)
    assert "revoked" in said[-1]
    with pytest.raises(StoreError, match="no link"):
        serve_commands.revoke_links(folder, "Dr. Lee", run=None, say=said.append)
    with pytest.raises(StoreError, match="films"):
        serve_commands.list_links(folder, run="none", say=said.append)


def test_the_room_beside_a_training_opens_and_ends_with_it(store):
    began = now()
    with start_beside(store.path, "films", place=ANYWHERE, protocol="blind-first") as room:
        assert not visited(store, "films", began)
        with httpx.Client(base_url=room.address, follow_redirects=True) as browser:
            browser.get(room.links.reader)
            session = browser.get("/api/session").json()
        assert (session["kind"], session["protocol"]) == ("reader", "blind-first")
        assert visited(store, "films", began)
    with pytest.raises(httpx.ConnectError):
        httpx.get(room.address)
    with start_beside(store.path, "films", place=ANYWHERE) as room:
        assert room.links.reader is None, "there is a reader already"
        assert "/in/" in room.links.owner


def test_the_room_ends_when_its_training_is_killed(store):
    script = (
        "import sys, time; from imil.web.child_server import start_beside; "
        "from imil.web.server import Place; "
        f"room = start_beside({str(store.path)!r}, 'films', place=Place(port=0)); "
        "print(room.address, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    address = parent.stdout.readline().strip()
    assert httpx.get(f"{address}/healthz").text == "ok"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while time.monotonic() < until and _answers(address):
        time.sleep(0.1)
    assert not _answers(address)


def _answers(address):
    try:
        with socket.create_connection(("127.0.0.1", int(address.rsplit(":")[-1])), 1):
            return True
    except OSError:
        return False


def test_what_cannot_be_served_beside_is_said_by_the_parent(store):
    with pytest.raises(StoreError, match="no store"):
        start_beside(store.path.parent / "none.sqlite", "films", place=ANYWHERE)
    with pytest.raises(StoreError, match="cannot listen"):
        start_beside(store.path, "films", place=Place("192.0.2.1", 0, insecure=True))


def test_a_room_that_ended_comes_back_where_it_was_or_says_where_it_is(store):
    said = []
    with start_beside(store.path, "films", place=ANYWHERE) as room:
        room.keep_up(said.append)
        assert not said, "it runs"
        where = room.address
        _killed(room)
        room.keep_up(said.append)
        assert room.address == where
        assert _answers(where)
        assert "(exit code -9) and runs again at" in said.pop()
        _killed(room)
        with socket.create_server(("127.0.0.1", room.port)):
            room.keep_up(said.append)
            assert room.address != where
            assert room.address in said.pop()
            assert _answers(room.address)
        assert Progress(store).address("films") == room.address


def test_a_room_that_cannot_come_back_ends_the_wait_with_a_sentence(store, monkeypatch):
    def fails(*_):
        raise StoreError("no memory")

    with start_beside(store.path, "films", place=ANYWHERE) as room:
        _killed(room)
        monkeypatch.setattr("imil.web.child_server._serve", fails)
        with pytest.raises(StoreError, match=r"does not start again \(no memory\): every reading"):
            room.keep_up(print)


def _killed(room):
    room.process.kill()
    room.process.wait()


def test_two_servers_over_one_store_know_the_same_sessions(store, address):
    with serving(store.path) as second, visiting(address, link(store)) as lee:
        cookie = {"imil_session": lee.cookies["imil_session"]}
        with httpx.Client(base_url=second, cookies=cookie) as elsewhere:
            assert elsewhere.get("/api/session").json()["name"] == "Dr. Lee"
            send(elsewhere, 1)
        assert lee.get("/api/session").json()["rounds"][0]["read"] == 1


def test_a_store_from_before_the_reading_room_is_brought_up_to_date(tmp_path):
    path = tmp_path / "imil.sqlite"
    _old_store(path)
    store = Store(path)
    assert [kept.squares for kept in store.readings("films@70")] == [(6, 7)]
    with serving(path) as address, visiting(address, link(store)) as lee:
        (case,) = lee.get("/api/rounds/70").json()["cases"]
        assert (case["image"]["low"], case["image"]["high"]) == (3, 900)
        assert send(lee, 1).status_code == 200
    assert len(store.readings("films@70")) == 2
    store.close()


def _old_store(path):
    """A store as the first migration made it, with a reading in it."""
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
