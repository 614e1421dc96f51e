"""The reading room's API over HTTP: responses, requests and errors."""

import gzip
import io
import sqlite3

import numpy as np
import pytest
from PIL import Image
from rooms import (
    APPS,
    JSON,
    KEY,
    NAMES,
    add_round,
    film,
    heat,
    link,
    make_store,
    reading,
    send,
    serving,
    visiting,
)
from sqlalchemy import event

from imil.cases import Reading
from imil.fills import blackout
from imil.grid import Grid
from imil.images.resize import resize_to_square
from imil.store import Store, audit
from imil.store.run_progress import Progress


@pytest.fixture
def store(tmp_path):
    opened = make_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def address(store):
    with serving(store.path) as url:
        yield url


@pytest.fixture
def lee(store, address):
    with visiting(address, link(store)) as browser:
        yield browser


@pytest.fixture
def owner(store, address):
    with visiting(address, link(store, "owner", kind="owner")) as browser:
        yield browser


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader's client and the store, for tests that store nothing."""
    shared = make_store(tmp_path_factory.mktemp("shared"))
    with serving(shared.path) as url, visiting(url, link(shared)) as browser:
        yield browser, shared
    shared.close()


def sentence(answer):
    """The message of an error response."""
    body = answer.json()
    assert list(body) == ["detail"]
    assert isinstance(body["detail"], str)
    return body["detail"]


def test_the_session_has_the_reader_and_the_rounds(lee):
    assert lee.get("/api/session").json() == {
        "kind": "reader",
        "name": "Dr. Lee",
        "run": "films",
        "protocol": "paper",
        "rounds": [
            {
                "id": "70",
                "number": 1,
                "epoch": 70,
                "state": "open",
                "cases": 3,
                "read": 0,
                "finished": False,
                "waitsFor": 1,
                "closes": None,
            }
        ],
        "training": {"state": "gone", "epoch": None, "epochs": None},
        "result": None,
    }


def test_a_round_equals_that_in_the_store(lee):
    got = lee.get("/api/rounds/70").json()
    assert got["grid"] == {"rows": 4, "cols": 4, "slabs": None}
    assert got["classNames"] == list(NAMES)
    assert got["modelView"] == {"height": 16, "width": 16}
    assert [case["number"] for case in got["cases"]] == [1, 2, 3]
    first, second = got["cases"][:2]
    pixels = film(1 + 70 + len("films"))
    assert (first["label"], first["labelName"]) == (1, "TB")
    shape = {name: first["image"][name] for name in ("height", "width", "channels", "bits")}
    assert shape == {"height": 32, "width": 40, "channels": 1, "bits": 16}
    assert (first["image"]["low"], first["image"]["high"]) == (pixels.min(), pixels.max())
    assert first["opinion"]["predictedName"] == "normal"
    assert first["opinion"]["confidence"] == 0.9
    assert (first["earlier"], second["earlier"]) == (None, [2, 3])
    assert first["reading"] is None


def test_misleading_squares_are_stored_and_come_back(lee, store):
    given = reading(squares=[6]) | {"misleading": [13, 4]}
    assert send(lee, 1, given).status_code == 200
    assert send(lee, 2, reading(squares=[]) | {"misleading": [1]}).status_code == 200
    assert send(lee, 3).status_code == 200, "without the field, there are none"
    got = [case["reading"] for case in lee.get("/api/rounds/70").json()["cases"]]
    assert [one["misleading"] for one in got] == [[4, 13], [1], []]
    assert [one.misleading for one in store.readings("films@70")] == [(4, 13), (1,), ()]
    details = [entry.detail for entry in audit.newest(store, "films")]
    assert any(detail.endswith("focus 6 -4 -13") for detail in details)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"squares": [6], "misleading": [6]}, "Squares 6 are both selected and misleading"),
        ({"squares": [6], "misleading": [17]}, "Squares {17} lie outside a 4×4 grid"),
        ({"squares": [], "misleading": list(range(1, 17))}, "All 16 squares are misleading"),
        ({"squares": [], "misleading": [3], "verdict": "skip"}, "only a focus has squares"),
    ],
)
def test_misleading_squares_that_cannot_be_are_refused(lee, store, given, message):
    answer = send(lee, 1, reading() | given)
    assert answer.status_code in (400, 422)
    assert message in sentence(answer)
    assert store.readings("films@70") == []


def test_pixels_and_heat_maps_are_sent_bit_for_bit(lee):
    case = lee.get("/api/rounds/70").json()["cases"][0]
    answer = lee.get(case["image"]["url"])
    assert answer.headers["content-encoding"] == "deflate"
    assert answer.headers["cache-control"] == "no-store", "films outlive no session"
    np.testing.assert_array_equal(
        np.frombuffer(answer.content, "<u2").reshape(32, 40), film(1 + 70 + len("films"))
    )
    for which, number in (("predicted", 1), ("true", 51)):
        answer = lee.get(case["opinion"]["heatMaps"][which])
        got = np.frombuffer(answer.content, "<f4").reshape(16, 16)
        np.testing.assert_array_equal(got, heat(number))


def test_heat_maps_of_another_run_have_another_url(lee, store, address):
    mine = lee.get("/api/rounds/70").json()["cases"][0]["opinion"]["heatMaps"]
    add_round(store, run="other", epoch=70)
    with visiting(address, link(store, run="other")) as elsewhere:
        theirs = elsewhere.get("/api/rounds/70").json()["cases"][0]["opinion"]["heatMaps"]
    assert mine["true"] != theirs["true"], "or a browser would show the cached one"


def test_a_client_without_deflate_gets_uncompressed_pixels(lee):
    url = lee.get("/api/rounds/70").json()["cases"][0]["image"]["url"]
    answer = lee.get(url, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.content == film(1 + 70 + len("films")).astype("<u2").tobytes()


def test_the_practice_film_alone_is_kept_by_browsers(lee):
    url = lee.get("/api/practice").json()["cases"][0]["image"]["url"]
    assert "immutable" in lee.get(url).headers["cache-control"]


def test_the_preview_is_the_blackout_at_the_models_size(lee):
    answer = lee.get("/api/rounds/70/cases/1/preview?squares=2,3,6")
    assert answer.headers["content-type"] == "image/png"
    got = np.asarray(Image.open(io.BytesIO(answer.content)))
    small = resize_to_square(film(1 + 70 + len("films")), 16, 1)
    np.testing.assert_array_equal(got, blackout(small, Grid(4, 4).mask([2, 3, 6], 16, 16)))
    black = lee.get("/api/rounds/70/cases/1/preview").content
    assert not np.asarray(Image.open(io.BytesIO(black))).any()


def test_the_end_of_a_round_shows_where_the_readers_squares_lie(lee):
    assert lee.get("/api/rounds/70/learned").status_code == 404  # nothing selected yet
    send(lee, 1, reading([1, 2]))
    one = lee.get("/api/rounds/70/learned")
    assert one.headers["content-type"] == "image/png"
    assert one.headers["cache-control"] == "no-store"
    send(lee, 2, reading([16]))
    two = lee.get("/api/rounds/70/learned")
    pictures = [np.asarray(Image.open(io.BytesIO(answer.content)), int) for answer in (one, two)]
    changed = np.abs(pictures[1] - pictures[0]).max(axis=2)
    height, width = changed.shape
    assert changed[-height // 3 :, -width // 4 :].max() > 30  # square 16 is tinted now


def test_a_reading_is_stored_under_the_name_of_the_session(lee, store):
    given = reading([7, 6, 6], seconds=12.5, reason="<script>alert(1)</script> upper lobe")
    assert send(lee, 2, given).json() == {"stored": True, "read": 1, "cases": 3}
    (stored,) = store.readings("films@70")
    assert stored.case == "films@70#2"
    assert stored.reader == "Dr. Lee"
    assert stored.squares == (6, 7)
    assert stored.reason == "<script>alert(1)</script> upper lobe"
    shown = lee.get("/api/rounds/70").json()["cases"][1]["reading"]
    assert shown["squares"] == [6, 7]
    assert shown["reason"] == stored.reason
    assert shown["id"] == stored.id


def test_the_same_reading_sent_again_is_stored_once(lee, store):
    for _ in range(3):
        assert send(lee, 1, reading_id="a" * 32).json()["read"] == 1
    assert len(store.readings("films@70")) == 1


def test_a_used_reading_id_is_rejected(lee, store, address):
    send(lee, 1, reading_id="a" * 32)
    assert send(lee, 2, reading_id="a" * 32).status_code == 409
    with visiting(address, link(store, "Dr. Abe")) as abe:
        assert send(abe, 1, reading_id="a" * 32).status_code == 409
    assert len(store.readings("films@70")) == 1


def test_a_changed_reading_is_added_and_the_newest_is_shown(lee, store):
    send(lee, 1, reading([1]))
    assert send(lee, 1, reading([9])).json()["read"] == 1
    assert lee.get("/api/rounds/70").json()["cases"][0]["reading"]["squares"] == [9]
    assert [one.squares for one in store.readings("films@70")] == [(1,), (9,)]


def test_two_readers_on_one_case_do_not_see_each_others_readings(lee, store, address):
    send(lee, 1, reading([1]))
    with visiting(address, link(store, "Dr. Abe")) as abe:
        assert abe.get("/api/rounds/70").json()["cases"][0]["reading"] is None
        send(abe, 1, reading([16]))
    assert lee.get("/api/rounds/70").json()["cases"][0]["reading"]["squares"] == [1]
    assert {one.reader for one in store.readings("films@70")} == {"Dr. Lee", "Dr. Abe"}


def test_finishing_needs_every_case_and_closes_the_round(lee, store):
    send(lee, 2, reading(verdict="skip", squares=[]))
    refused = lee.post("/api/rounds/70/finish", json={})
    assert refused.status_code == 409
    assert "cases 1, 3" in sentence(refused)
    send(lee, 1)
    send(lee, 3, reading_id="b" * 32)
    for _ in range(2):
        done = lee.post("/api/rounds/70/finish", json={}).json()
        assert done == {"state": "closed", "waitsFor": 0}
    late = send(lee, 1)
    assert late.status_code == 409
    assert "closed" in sentence(late)
    assert send(lee, 3, reading_id="b" * 32).status_code == 200, "it was stored before"
    assert store.rounds()[0].state == "closed"


def test_blind_first_hides_the_prediction_until_the_first_look(lee, store):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    hidden = lee.get("/api/rounds/70").json()["cases"][0]
    assert hidden["opinion"] is None
    assert hidden["labelName"] == "TB"
    heat_map = "/api/rounds/70/cases/1/heat-map/predicted"
    assert lee.get(heat_map).status_code == 403
    look = {"squares": [5, 6], "seconds": 4}
    where = "/api/rounds/70/cases/1/first-look/"
    revealed = lee.put(where + "c" * 32, json=look).json()["opinion"]
    assert revealed["predictedName"] == "normal"
    assert lee.get(heat_map).status_code == 200
    lee.put(where + "d" * 32, json={"squares": [16], "seconds": 1})
    send(lee, 1, reading([6], before=[16]))
    (stored,) = store.readings("films@70")
    assert stored.squares_before == (5, 6), "the first look is final"
    cases = lee.get("/api/rounds/70").json()["cases"]
    assert [case["opinion"] is None for case in cases] == [False, True, True]


def test_the_prediction_stays_hidden_from_a_reader_without_a_first_look(lee, store, address):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    lee.put("/api/rounds/70/cases/1/first-look/" + "c" * 32, json={"squares": [], "seconds": 1})
    with visiting(address, link(store, "Dr. Abe")) as abe:
        assert abe.get("/api/rounds/70/cases/1/heat-map/true").status_code == 403


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (reading([17]), "squares {17} lie outside a 4×4 grid (1-16)"),
        (reading([]), "no square is selected"),
        (reading([0]), "squares.0 is 0"),
        (reading([10**30]), "squares.0 is 1000"),
        (reading([True]), "squares.0 is True"),
        (reading(["6"]), "squares.0 is '6'"),
        (reading(verdict="maybe"), "verdict is 'maybe'"),
        (reading(seconds=-1), "seconds is -1"),
        (reading(seconds="3"), "seconds is '3'"),
        (reading(reason="x" * 2_001), "reason is 'xxx"),
        (reading(reason="a\x00b"), "reason is 'a?b'"),
        (reading() | {"reader": "somebody else"}, "reader is 'somebody else'"),
        ({"verdict": "focus"}, "squares is"),
        ([1, 2], "a list of 2"),
        ("focus", "'focus'"),
    ],
)
def test_an_invalid_reading_is_rejected_with_a_message(reader, given, message):
    browser, store = reader
    answer = send(browser, 1, given)
    assert answer.status_code == 422
    assert message.lower() in sentence(answer).lower()
    assert store.readings("films@70") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"seconds": NaN}',
        b'{"verdict":"focus","squares":[6],"seconds":Infinity}',
        b'{"verdict":"focus","squares":[6],"seconds":1e999}',
        b'{"verdict":"focus","squares":[' + b"9" * 5000 + b'],"seconds":1}',
        b'{"verdict":"focus","squares":[6],"seconds":1,"reason":"\\ud800"}',
        b'{"verdict":"focus","squares":[6],"seconds":1,"reason":"\xff"}',
        b"[" * 20_000,
        b'{"verdict":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=range(11),
)
def test_malformed_json_is_rejected_with_a_message(reader, body):
    browser, store = reader
    where = "/api/rounds/70/cases/1/readings/" + "a" * 32
    answer = browser.put(where, content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert sentence(answer)
    assert store.readings("films@70") == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/rounds/71",
        "/api/rounds/99999999999999999999999",
        "/api/rounds/-1",
        "/api/rounds/70%00",
        "/api/rounds/films@70",
        "/api/rounds/70/cases/4/preview",
        "/api/rounds/70/cases/0/heat-map/true",
        "/api/rounds/70/cases/1/heat-map/both",
        "/api/rounds/70/cases/1/preview?squares=17",
        "/api/rounds/70/cases/1/preview?squares=1;2",
        "/api/rounds/70/cases/1/preview?squares=" + "9" * 6000,
        "/api/rounds/practice/cases/1/preview?squares=99",
        "/api/images/" + "0" * 64,
        "/api/images/..%2F..%2Fetc%2Fpasswd",
        "/api/practice/x/both",
        "/api/nothing",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/%00.js",
        "/static/.hidden.js",
        "/static/",
        "/static/pages",
        "/static/app.js/x",
        "/static/" + "x" * 300 + ".js",  # longer than a file's name may be
        "/static/" + "x" * 5000 + ".js",  # longer than a path may be
        "/nothing/at/all",
        "/%ff%fe",
    ],
)
def test_invalid_paths_are_rejected_with_a_message(reader, path):
    answer = reader[0].get(path)
    assert answer.status_code in (404, 422)
    assert sentence(answer)


def test_a_large_body_is_rejected_before_it_is_parsed(lee, store):
    where = "/api/rounds/70/cases/1/readings/" + "a" * 32
    large = lee.put(where, content=b"[" + b"1," * 40_000 + b"1]", headers=JSON)
    assert large.status_code == 413

    def pieces():
        for _ in range(100):
            yield b" " * 1024

    assert lee.put(where, content=pieces(), headers=JSON).status_code == 413
    assert store.readings("films@70") == []


def test_a_body_of_another_content_type_is_rejected(lee):
    answer = lee.put("/api/rounds/70/cases/1/readings/" + "a" * 32, content=b"{}")
    assert answer.status_code == 415


def all_responses(browser):
    """Path, decompressed body and headers of every kind of response."""
    paths = ["/", "/api/session", "/api/rounds/70", "/api/practice", "/api/lobby", "/api/audit"]
    paths += ["/api/openapi.json", "/healthz", "/static/none.js"]
    round_ = browser.get("/api/rounds/70").json()
    for case in round_["cases"]:
        paths += [case["image"]["url"], *list(case["opinion"]["heatMaps"].values())[-2:]]
        paths.append(f"/api/rounds/70/cases/{case['number']}/preview?squares=1")
    answers = [browser.get(path) for path in paths if isinstance(path, str)]
    answers += [send(browser, 1), send(browser, 9), send(browser, 1, reading([99]))]
    answers += [browser.post("/api/rounds/70/finish", json={})]
    for answer in answers:
        yield answer.request.url.path, answer.content + str(answer.headers.multi_items()).encode()


def test_no_response_names_a_patient_or_a_file(lee, owner, store):
    for browser in (lee, owner):
        for path, bytes_ in all_responses(browser):
            for secret in (KEY, "Mueller", "19610203", str(store.path), store.path.name, "#1"):
                assert secret.encode() not in bytes_, f"{secret} in {path}"


def test_the_lobby_shows_the_progress_of_readers(lee, owner, store):
    send(lee, 1, reading(seconds=10))
    send(lee, 2, reading(seconds=20))
    send(lee, 2, reading(seconds=40))
    lobby = owner.get("/api/lobby").json()
    (round_,) = lobby["rounds"]
    (line,) = round_["readers"]
    assert (line["name"], line["read"], line["secondsMedian"]) == ("Dr. Lee", 2, 25)
    assert line["lastSeen"] is not None
    assert [(i["name"], i["kind"]) for i in lobby["invitations"]] == [
        ("Dr. Lee", "reader"),
        ("owner", "owner"),
    ]


def test_the_owner_can_close_a_round_with_cases_unread(lee, owner, store):
    send(lee, 1)
    assert owner.post("/api/rounds/70/close", json={}).json() == {"state": "closed"}
    assert send(lee, 2).status_code == 409
    details = {line.what: line.detail for line in audit.newest(store, "films")}
    assert (
        details["close"]
        == "round 70: by the owner, 1 of 3 cases read; not finished: Dr. Lee (1 of 3)"
    )


def test_the_audit_log_is_complete(lee, owner, store):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    lee.put("/api/rounds/70/cases/1/first-look/" + "c" * 32, json={"squares": [5], "seconds": 4})
    send(lee, 1, reading([6, 7]))
    send(lee, 1, reading([7]))
    made = owner.post("/api/invitations", json={"name": "Dr. Abe", "days": 3}).json()
    assert made["name"] == "Dr. Abe"
    abes = owner.get("/api/lobby").json()["invitations"][-1]["id"]
    owner.delete(f"/api/invitations/{abes}")
    owner.post("/api/rounds/70/close", json={})
    lee.post("/api/sign-out", json={})
    lines = [(line["who"], line["what"]) for line in reversed(owner.get("/api/audit").json())]
    assert lines == [
        ("owner", "invitation"),
        ("Dr. Lee", "sign-in"),
        ("owner", "invitation"),
        ("owner", "sign-in"),
        ("owner", "protocol"),
        ("Dr. Lee", "first look"),
        ("Dr. Lee", "reading"),
        ("Dr. Lee", "change"),
        ("owner", "invitation"),
        ("owner", "revocation"),
        ("owner", "close"),
        ("Dr. Lee", "sign-out"),
    ]
    assert audit.newest(store, "films")[5].detail == "round 70, case 1: focus 6 7"


@pytest.mark.parametrize("table", ["audit", "first_looks", "readings"])
@pytest.mark.parametrize("change", ["UPDATE {} SET sequence = 99", "DELETE FROM {}"])
def test_stored_records_cannot_be_changed_or_deleted(lee, store, table, change):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    lee.put("/api/rounds/70/cases/1/first-look/" + "c" * 32, json={"squares": [5], "seconds": 4})
    send(lee, 1)
    with sqlite3.connect(store.path) as db, pytest.raises(sqlite3.DatabaseError, match="append"):
        db.execute(change.format(table))
    db.close()


def test_the_result_is_shown_when_the_training_has_ended(lee, store):
    progress = Progress(store)
    progress.report("films", state="waiting", epoch=70, epochs=100)
    assert lee.get("/api/session").json()["training"] == {
        "state": "waiting",
        "epoch": 70,
        "epochs": 100,
    }
    progress.add_result("films", 70, {"accuracy": 0.8, "auroc": float("nan"), "ece": 0.1})
    progress.add_result("films", 100, {"accuracy": 0.9, "auroc": 0.95, "ece": 0.05})
    assert lee.get("/api/session").json()["result"] is None
    progress.report("films", state="finished", epoch=100)
    assert lee.get("/api/session").json()["result"] == {
        "before": {"accuracy": 0.8, "auroc": None, "ece": 0.1},
        "after": {"accuracy": 0.9, "auroc": 0.95, "ece": 0.05},
    }


def test_a_training_without_a_heartbeat_is_gone(lee, store):
    Progress(store).report("films", state="running", epoch=3, epochs=9)
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE progress SET heartbeat = '2020-01-01T00:00:00.000+00:00'")
    db.close()
    assert lee.get("/api/session").json()["training"]["state"] == "gone"


def test_a_new_round_appears_while_the_page_is_open(lee, store):
    add_round(store, epoch=90, cases=1)
    rounds = lee.get("/api/session").json()["rounds"]
    assert [(one["id"], one["number"]) for one in rounds] == [("70", 1), ("90", 2)]


def test_practice_is_like_a_round_and_its_urls_work(lee):
    practice = lee.get("/api/practice").json()
    (case,) = practice["cases"]
    image = case["image"]
    assert practice["id"] == "practice"
    pixels = np.frombuffer(lee.get(image["url"]).content, np.uint8)
    assert pixels.size == image["height"] * image["width"]
    assert (pixels.min(), pixels.max()) == (image["low"], image["high"])
    for which in ("predicted", "true"):
        heat_map = np.frombuffer(lee.get(case["opinion"]["heatMaps"][which]).content, "<f4")
        assert heat_map.size == 224 * 224
        assert 0 <= heat_map.min() <= heat_map.max() <= 1
    assert lee.get("/api/rounds/practice/cases/1/preview?squares=7,11").status_code == 200


def lock(path):
    """A write lock, held by another connection."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_locked_store_is_reported_and_the_reading_can_be_sent_again(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("imil.web.app.STORE_TIMEOUT", 0.3)
    store = make_store(tmp_path)
    with serving(store.path) as address, visiting(address, link(store)) as lee:
        other = lock(store.path)
        answer = send(lee, 1, reading_id="a" * 32)
        assert answer.status_code == 423
        assert "try again" in sentence(answer)
        assert answer.headers["retry-after"] == "5"
        assert str(tmp_path) not in answer.text
        assert lee.get("/api/rounds/70").status_code == 200, "reading works while another writes"
        other.execute("ROLLBACK")
        other.close()
        assert send(lee, 1, reading_id="a" * 32).status_code == 200
    assert len(store.readings("films@70")) == 1
    store.close()
    logged = [record for record in caplog.records if "locked" in record.getMessage()]
    assert len(logged) == 1, "one log entry"


@pytest.mark.parametrize(
    "pragma", ["PRAGMA query_only = ON", "PRAGMA max_page_count = 1"], ids=["readonly", "full"]
)
def test_a_read_only_or_full_store_loses_no_reading(tmp_path, pragma):
    store = make_store(tmp_path)
    with serving(store.path) as address, visiting(address, link(store)) as lee:
        assert send(lee, 1).status_code == 200
        broken = Store(store.path, patience=0.3)

        def limit(connection, _record, _proxy):
            connection.execute(pragma)

        event.listen(broken._engine, "checkout", limit)
        app = APPS[address]
        working, app.state.store = app.state.store, broken
        long = reading(reason="x" * 2_000)
        answers = [send(lee, 2, long, reading_id=f"{i:032x}") for i in range(40)]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert refused
        assert {answer.status_code for answer in refused} == {423}
        stored = {one.id for one in store.readings("films@70")}
        for i, answer in enumerate(answers):
            assert (answer.status_code == 200) == (f"{i:032x}" in stored)
        app.state.store = working
        broken.close()
    store.close()


def test_a_page_that_was_open_for_days_loses_no_reading(store, lee):
    assert send(lee, 1, reading(seconds=3 * 86_400.0)).status_code == 200
    (stored,) = store.readings("films@70")
    assert stored.seconds == 86_400


def test_a_missing_image_is_reported(lee, store):
    url = lee.get("/api/rounds/70").json()["cases"][0]["image"]["url"]
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("DELETE FROM images WHERE sha256 = ?", (url.rsplit("/")[-1],))
    db.close()
    answer = lee.get(url)
    assert answer.status_code == 404
    assert "image" in sentence(answer)
    assert lee.get("/api/rounds/70/cases/1/preview?squares=1").status_code == 404
    assert send(lee, 1).status_code == 200, "the other cases can still be read"
    cases = lee.get("/api/rounds/70").json()["cases"]
    assert [case["number"] for case in cases] == [1, 2, 3]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/app.js", "text/javascript; charset=utf-8"),
        ("/static/base.css", "text/css; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
def test_page_files_have_a_content_type_and_are_sent_again_only_when_changed(
    reader, path, content_type
):
    browser, _ = reader
    first = browser.get(path)
    assert first.status_code == 200
    assert first.headers["content-type"] == content_type
    assert first.headers["cache-control"] == "no-cache", "the browser asks every time"
    assert first.headers["x-content-type-options"] == "nosniff"
    again = browser.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    head = browser.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == content_type
    assert browser.post(path, json={}).status_code == 405


def test_json_and_page_files_are_compressed_once_and_pixels_not_again(reader):
    browser, _ = reader
    url = browser.get("/api/rounds/70").json()["cases"][0]["image"]["url"]
    encodings = {"/api/rounds/70": "gzip", "/static/app.js": "gzip", url: "deflate"}
    for path, encoding in encodings.items():
        answer = browser.get(path)
        assert answer.headers["content-encoding"] == encoding
        with browser.stream("GET", path) as streamed:
            assert len(b"".join(streamed.iter_raw())) == int(answer.headers["content-length"])


def test_json_is_compressed(store, address, lee):
    for case in range(1, 4):
        send(lee, case, reading(reason="long " * 100))
    answer = lee.get("/api/rounds/70")
    assert answer.headers["content-encoding"] == "gzip"
    with lee.stream("GET", "/api/rounds/70") as streamed:
        raw = b"".join(streamed.iter_raw())
    assert len(raw) < len(answer.content) / 2
    assert gzip.decompress(raw) == answer.content


def test_a_reading_of_another_process_is_visible(lee, store):
    store.add(Reading(case="films@70#1", reader="Dr. Lee", verdict="focus", squares=(4,)))
    assert lee.get("/api/session").json()["rounds"][0]["read"] == 1
    assert lee.get("/api/rounds/70").json()["cases"][0]["reading"]["squares"] == [4]
    assert send(lee, 1).json()["read"] == 1
