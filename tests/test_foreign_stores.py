"""Stores from elsewhere: nothing in them runs, opens or misleads, and one sentence says why."""

import sqlite3
import zlib
from contextlib import closing

import pytest
from rooms import link, make_store

from imil.cases import Reading
from imil.errors import StoreError
from imil.store import Store
from imil.store.append_only import trigger_sql
from imil.store.content_check import check_content
from imil.store.invitations import UnknownLink, invitations, sign_in, visitor
from imil.store.links import revoke_foreign
from imil.store.machine_key import VARIABLE, tag
from imil.store.run_progress import Progress
from imil.web.serve_commands import invite_to_run


@pytest.fixture
def path(tmp_path):
    with closing(make_store(tmp_path)) as store:
        store.add(Reading("films@70#1", "Lee", "focus", (6,)))
    return tmp_path / "imil.sqlite"


def run(path, *statements):
    """Change the file as anybody can who has it."""
    with closing(sqlite3.connect(path)) as raw, raw:
        for statement in statements:
            raw.execute(*([statement] if isinstance(statement, str) else statement))


FOREIGN = {
    "a view in place of a table": (
        "ALTER TABLE images RENAME TO pictures",
        (
            "CREATE VIEW images AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT * FROM pictures, n"
        ),
    ),
    "a trigger that adds readings": (
        (
            "CREATE TRIGGER more AFTER INSERT ON sessions BEGIN INSERT INTO audit "
            "(at, run, who, what, detail) VALUES ('', 'films', 'Lee', 'reading', ''); END"
        ),
    ),
    "a trigger of ours with another body": (
        "DROP TRIGGER readings_no_update",
        "CREATE TRIGGER readings_no_update BEFORE UPDATE ON readings BEGIN SELECT 1; END",
    ),
    "readings that can be deleted": ("DROP TRIGGER readings_no_delete",),
    "a column that is calculated": ("ALTER TABLE runs ADD COLUMN more AS (zeroblob(1000000000))",),
    "another table": ("CREATE TABLE more (a)",),
    "another index": ("CREATE INDEX more ON runs (upper(name))",),
    "a table less": ("DROP TABLE results",),
}


def test_a_store_without_a_version_and_one_without_a_home_for_the_key_are_a_sentence(
    path, monkeypatch
):
    run(path, "DELETE FROM alembic_version")
    with pytest.raises(StoreError, match=r"is damaged .the version of its schema is missing"):
        Store(path)
    monkeypatch.setenv(VARIABLE, str(path / "no-folder" / "key"))
    with pytest.raises(StoreError, match="name a file that can be written with IMIL_KEY_FILE"):
        tag("a")


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("readonly", [True, False], ids=["to read", "to write"])
def test_a_schema_that_no_imil_made_is_refused(path, statements, readonly):
    run(path, *statements)
    with pytest.raises(StoreError, match=r"imil\.sqlite has .*, which no imil made: do not use"):
        Store(path, readonly=readonly)


def test_what_a_file_says_of_functions_is_not_trusted(path):
    with closing(Store(path)) as store, store.read() as db:
        assert db.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0


def without_triggers(table, *statements):
    """The statements, between taking the triggers of the table off and putting them back."""
    verbs = ("UPDATE", "DELETE")
    drop = [f"DROP TRIGGER {table}_no_{verb.lower()}" for verb in verbs]
    return (*drop, *statements, *(trigger_sql(table, verb) for verb in verbs))


BOMB = zlib.compress(bytes(50_000_000))
DAMAGE = {
    "class names are no JSON": ("UPDATE runs SET class_names = '['",),
    "class names are a number": ("UPDATE runs SET class_names = '5'",),
    "too few class names": ("UPDATE runs SET class_names = '[\"a\"]'",),
    "JSON is nested without end": (
        ("UPDATE runs SET class_names = ?", ["[" * 100_000 + "]" * 100_000]),
    ),
    "settings are another object": ("UPDATE rounds SET settings = '{}'",),
    "the grid has a side of 0": ("UPDATE rounds SET settings = '{\"grid\": [0, 99]}'",),
    "a class that is not there": ("UPDATE cases SET predicted = 7",),
    "a label that is text": ("UPDATE cases SET label = 'x'",),
    "pixels are cut off": ("UPDATE images SET pixels = substr(pixels, 1, 9)",),
    "pixels inflate to megabytes": (("UPDATE images SET pixels = ?", [BOMB]),),
    "pixels of another image": (
        (
            "UPDATE images SET (pixels, shape, dtype) = (SELECT pixels, shape, dtype FROM images "
            "ORDER BY sha256 LIMIT 1)"
        ),
    ),
    "a shape of petabytes": ("UPDATE images SET shape = '[100000000, 100000000]'",),
    "a shape of text": ("UPDATE images SET shape = '[\"a\", 2]'",),
    "another dtype": ("UPDATE images SET dtype = 'object'",),
    "a heat-map of another size": ("UPDATE cases SET cam_shape = '[3, 3]'",),
    "a reading outside the grid": without_triggers(
        "readings", "UPDATE readings SET squares = '[99]'"
    ),
    "a reading of squares that are text": without_triggers(
        "readings", "UPDATE readings SET squares = '[\"a\"]'"
    ),
    "text that is no text": without_triggers(
        "readings", "UPDATE readings SET reason = CAST(x'ff' AS TEXT)"
    ),
    "a reading of no case": ("DELETE FROM cases WHERE number = 1",),
}


@pytest.mark.parametrize("statements", DAMAGE.values(), ids=DAMAGE)
def test_damaged_content_is_one_sentence_and_served_to_nobody(path, statements):
    run(path, *statements)
    with closing(Store(path)) as store, pytest.raises(StoreError, match="is damaged"):
        check_content(store)


def test_a_file_with_other_bytes_in_its_pages_is_one_sentence(path):
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 3000] = bytes(range(250)) * 12
    path.write_bytes(content)
    with pytest.raises(StoreError):
        with closing(Store(path)) as store:
            check_content(store)


def test_a_whole_store_passes_and_an_image_may_be_missing(path):
    with closing(Store(path)) as store:
        check_content(store)
    run(path, "DELETE FROM images WHERE sha256 = (SELECT image FROM cases WHERE number = 2)")
    with closing(Store(path)) as store:
        check_content(store)  # the case can be skipped


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Go on as another machine."""

    def move():
        monkeypatch.setenv(VARIABLE, str(tmp_path / "another-key"))

    return move


def test_links_and_sessions_from_elsewhere_open_nothing_and_are_revoked(path, elsewhere):
    with closing(Store(path)) as store:
        secret = link(store, "owner", kind="owner")
        token, _invitation = sign_in(store, secret)
        assert visitor(store, token) is not None
        assert revoke_foreign(store) == 0
        elsewhere()
        assert visitor(store, token) is None
        with pytest.raises(UnknownLink):
            sign_in(store, secret)
        assert revoke_foreign(store) == 1
        assert invitations(store, "films")[0].revoked
        mine, _ = sign_in(store, link(store, "owner", kind="owner"))
        assert visitor(store, mine).kind == "owner"


def test_a_link_that_was_changed_in_the_file_is_revoked(path):
    with closing(Store(path)) as store:
        link(store, "Dr. Lee")
        run(path, "UPDATE invitations SET kind = 'owner'")
        assert revoke_foreign(store) == 1


def test_an_address_from_elsewhere_gets_no_secret(path, elsewhere):
    lines = []

    def invite():
        options = {"run": None, "kind": "reader", "days": 1, "url": None}
        invite_to_run(path, "Dr. Lee", **options, say=lines.append)
        return lines.pop()

    with closing(Store(path)) as store:
        Progress(store).set_address("films", "https://room.example")
        assert invite().startswith("https://room.example/in/")
        run(path, "UPDATE progress SET address = 'https://evil.example#0123456789abcdef'")
        assert invite().startswith("http://127.0.0.1:8090/in/")
        Progress(store).set_address("films", "https://room.example")
        elsewhere()
        assert invite().startswith("http://127.0.0.1:8090/in/")
