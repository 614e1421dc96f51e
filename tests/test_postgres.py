"""The store in a PostgreSQL database, on a real server: what a file promises holds there too."""

import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgres_server import PASSWORD, QUOTED, running_server
from reader_contract import make_case
from rooms import add_round, link, reading, send, serving, visiting

from imil.cases import Reading, RoundSettings
from imil.errors import RoundClosed, SettingsError, StoreBusy, StoreError
from imil.reader_panel import ReaderPanel
from imil.store import Store, audit, round_state, schema, schema_version
from imil.store.content_check import check_content
from imil.store.copying import back_up, copy_renamed, copy_runs, digests
from imil.store.erase import erase_reader, erase_run
from imil.store.find_run import find_run
from imil.store.invitations import LinkUsed, invitations, invite, sign_in, visitor
from imil.store.reading_insert import IdTaken
from imil.store.run_progress import Progress
from imil.store_address import DatabaseUrl

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server():
    with running_server() as started:
        yield started


@pytest.fixture
def url(server):
    """The address of a store without a run."""
    made = server.new_store()
    yield made
    server.drop(made)


@pytest.fixture
def empty(server):
    """The address of an empty database."""
    made = server.new_database()
    yield made
    server.drop(made)


@pytest.fixture
def store(url):
    with closing(Store(url)) as made:
        add_round(made)
        yield made


def at_once(*functions):
    """What the functions give or raise, begun at the same moment in threads."""
    begin, results = threading.Barrier(len(functions), timeout=600), [None] * len(functions)

    def run(position, function):
        begin.wait()
        try:
            results[position] = function()
        except Exception as error:
            results[position] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


MAKE = """
import sys
from imil.store import Store
store = Store(sys.argv[1])
store.add_run(sys.argv[2], class_names=["a", "b"], settings={}, versions={})
store.close()
"""


# --- opening ------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_of_the_schema(store):
    with store._engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), schema.metadata) == []
    assert schema_version(store.path) == schema.HEAD


def test_a_store_that_several_processes_make_at_once_is_made_once(empty):
    words = [[sys.executable, "-c", MAKE, empty, f"run {number}"] for number in range(4)]
    processes = [subprocess.Popen(one) for one in words]
    assert [process.wait() for process in processes] == [0] * 4
    with closing(Store(empty, readonly=True)) as store:
        assert sorted(row["name"] for row in store.runs()) == [f"run {n}" for n in range(4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda url: url.replace(QUOTED, "secret"), "refuses the user or the password"),
        (lambda url: url.replace("test_", "none_"), "has no such database"),
        (lambda url: url.replace("imil:", "nobody:"), "refuses the user or the password"),
        (lambda url: f"{url.rpartition(':')[0]}:1/db", "no server answers"),
        (lambda url: url.replace("127.0.0.1", "host.invalid"), "no server answers"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_a_password(url, change, message):
    with pytest.raises(StoreError, match=message) as caught:
        Store(change(url))
    shown = str(caught.value)
    assert PASSWORD not in shown
    assert QUOTED not in shown
    assert "secret" not in shown
    assert "\n" not in shown


def test_a_database_that_holds_other_things_is_refused_and_not_touched(server, empty):
    with closing(server.connection(empty.rpartition("/")[2])) as db:
        db.execute("CREATE TABLE recipes (name text)")
        with pytest.raises(StoreError, match="holds something else \\(table 'recipes'\\)"):
            Store(empty)
        tables = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [("recipes",)]
        db.execute("CREATE SCHEMA own")
    with closing(Store(f"{empty}?options=-csearch_path%3Down")) as store:
        assert store.runs() == []


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "install a newer imil"),
        ("UPDATE alembic_version SET version_num = 'ae10b2'", "is not an imil store"),
        ("ALTER TABLE readings DROP COLUMN reason", "lacks the column 'reason' in 'readings'"),
        ("DROP TRIGGER readings_no_update ON readings", "lacks the trigger 'readings_no_update'"),
        ("ALTER TABLE audit DISABLE TRIGGER audit_no_delete", "lacks the trigger 'audit_no_del"),
    ],
)
def test_a_store_of_another_version_or_with_less_is_refused(server, store, url, statement, message):
    with closing(server.connection(url.rpartition("/")[2])) as db:
        db.execute(statement)
    with pytest.raises(StoreError, match=message):
        Store(url)


def test_a_database_without_a_store_cannot_be_read(empty):
    with pytest.raises(StoreError, match="there is no store in"):
        Store(empty, readonly=True)
    assert schema_version(DatabaseUrl.parse(empty)) is None


def test_without_psycopg_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"pip install 'imil\[postgres\]'"):
        Store("postgresql://imil@127.0.0.1:1/db")


def test_of_several_runs_one_has_to_be_named(store):
    assert find_run(store, None) == "films"
    add_round(store, run="other")
    with pytest.raises(StoreError, match="has 2 runs: name one with --run"):
        find_run(store, None)


# --- one order of what happens at the same moment ---------------------------------------


def test_images_and_cases_come_back_as_they_were_shown(store):
    pixels = np.arange(60, dtype=np.uint16).reshape(4, 5, 3) * 999
    shown = make_case(1, image=pixels, run="films", epoch=80, earlier=(2, 3))
    held = store.open_round("films", 80, RoundSettings(), [shown])
    back = store.cases(held.id)[0]
    assert back == replace(shown, class_names=back.class_names)
    assert (back.image == pixels).all()
    assert (back.cam_predicted == shown.cam_predicted).all()


def test_a_round_that_two_processes_open_at_once_is_opened_once(store, url):
    with closing(Store(url)) as other:
        opened = at_once(*(lambda one=one: add_round(one, epoch=80) for one in (store, other)))
    failed = [one for one in opened if isinstance(one, Exception)]
    assert len(failed) == 1
    assert "another process has opened round films@80" in str(failed[0])
    assert len(store.cases("films@80")) == 3


def test_finish_and_a_first_reading_at_the_same_moment_have_one_order(store, url):
    """Either the reading came first, and is waited for, or it is refused."""
    invite(store, "films", "Wu", by="owner")
    with closing(Store(url)) as other:
        for epoch in range(1, 21):
            cases = [make_case(number, run="films", epoch=epoch) for number in (1, 2, 3)]
            held = store.open_round(
                "films", epoch, RoundSettings(panel=ReaderPanel(quorum=1)), cases
            )
            round_id = held.id
            for case in (1, 2, 3):
                store.add(Reading(f"{round_id}#{case}", "Lee", "focus", (1,)))
            late = Reading(f"{round_id}#1", "Wu", "focus", (2,))
            added, finished = at_once(
                lambda late=late: other.add(late),
                lambda e=epoch, i=round_id: round_state.finish(store, "films", e, i, "Lee"),
            )
            stored = "Wu" in {one.reader for one in store.readings(round_id)}
            assert stored == (added is None)
            assert stored or isinstance(added, RoundClosed)
            assert finished.state == ("open" if stored else "closed"), finished


def test_a_reading_sent_twice_at_once_is_stored_once(store, url):
    with closing(Store(url)) as other:
        for _ in range(10):
            one = Reading("films@70#1", "Lee", "focus", (1,))
            assert at_once(lambda r=one: store.add(r), lambda r=one: other.add(r)) == [None, None]
    assert len(store.readings("films@70")) == 10


def test_an_id_that_two_rounds_use_at_once_belongs_to_one_reading(store, url):
    add_round(store, epoch=80)
    with closing(Store(url)) as other:
        for number in range(10):
            mine = Reading("films@70#1", "Lee", "skip", id=f"{number}")
            theirs = replace(mine, case="films@80#1")
            results = at_once(lambda r=mine: store.add(r), lambda r=theirs: other.add(r))
            assert sorted(type(one).__name__ for one in results) == ["IdTaken", "NoneType"]
    assert IdTaken.__doc__
    assert len(store.readings("films@70")) + len(store.readings("films@80")) == 10


def test_a_link_that_two_browsers_open_at_once_opens_one(store, url):
    with closing(Store(url)) as other:
        for _ in range(5):
            secret = link(store)
            results = at_once(
                lambda s=secret: sign_in(store, s), lambda s=secret: sign_in(other, s)
            )
            assert sum(isinstance(one, LinkUsed) for one in results) == 1, results
            token = next(one[0] for one in results if not isinstance(one, Exception))
            assert visitor(store, token).name == "Dr. Lee"


def test_readings_of_many_readers_at_once_are_all_stored_in_the_order_of_their_numbers(store, url):
    stores = [Store(url) for _ in range(6)]

    def read(store, name):
        for case in (1, 2, 3, 1):
            store.add(Reading(f"films@70#{case}", name, "focus", (case,)))

    seen = []

    def watch():  # as the training polls: what it has seen never gets something before it
        while len(seen) < 24:
            ids = [one.id for one in store.readings("films@70")]
            assert ids[: len(seen)] == seen
            seen[:] = ids

    names = [f"reader {number}" for number in range(6)]
    pairs = zip(stores, names, strict=True)
    results = at_once(watch, *(lambda s=s, n=n: read(s, n) for s, n in pairs))
    assert results == [None] * 7
    for one in stores:
        one.close()


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE {} SET sequence = 5", "DELETE FROM {}", "TRUNCATE {}"])
def test_rows_that_are_only_added_can_be_neither_changed_nor_deleted(
    server, store, url, table, verb
):
    store.add(Reading("films@70#1", "Lee", "focus", (1,)))
    invite(store, "films", "Lee", by="owner")
    with store.write() as db:
        row = {"id": "1", "case": "films@70#1", "reader": "Lee", "squares": [], "seconds": 1}
        db.execute(schema.first_looks.insert().values(row | {"created": ""}))
    with closing(server.connection(url.rpartition("/")[2])) as db:
        with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
            db.execute(verb.format(table))


def test_a_reader_of_the_store_sees_one_state_while_others_write(store, url):
    with store.read() as db:
        before = db.execute(schema.readings.select()).all()
        with closing(Store(url)) as other:
            other.add(Reading("films@70#1", "Lee", "focus", (1,)))
        assert db.execute(schema.readings.select()).all() == before
    assert len(store.readings("films@70")) == 1


def test_a_store_that_is_opened_for_reading_cannot_be_written(store, url):
    with closing(Store(url, readonly=True)) as other:
        assert len(other.rounds()) == 1
        with pytest.raises(StoreError, match="open for reading alone"):
            other.add(Reading("films@70#1", "Lee", "skip"))


def test_who_waits_for_a_locked_round_too_long_is_told_so(store, url):
    with closing(Store(url, patience=0.3)) as other, store.write() as db:
        db.execute(schema.rounds.update().values(state="open"))
        with pytest.raises(StoreBusy, match="locked by another process for too long"):
            other.add(Reading("films@70#1", "Lee", "skip"))


# --- the server is restarted ----------------------------------------------------------------


def test_a_store_goes_on_after_its_server_was_restarted(store, server):
    store.add(Reading("films@70#1", "Lee", "skip"))
    server.stop("immediate")
    thread = threading.Thread(target=server.start)
    thread.start()  # the store waits until it answers
    store.add(Reading("films@70#2", "Lee", "skip"))
    thread.join()
    assert [one.case for one in store.readings("films@70")] == ["films@70#1", "films@70#2"]


def test_a_transaction_that_the_server_ended_is_repeated_whole(store, server, monkeypatch):
    ended = []

    def add_after_the_end(db, what):
        if not ended:  # between the lock of the round and the row
            ended.append(1)
            pid = db.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with closing(server.connection()) as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
                while admin.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)
                ).fetchone():
                    pass
        return insert_reading(db, what)

    from imil.store.reading_insert import insert_reading

    monkeypatch.setattr("imil.store.store.insert_reading", add_after_the_end)
    store.add(Reading("films@70#1", "Lee", "focus", (1,)))
    assert ended == [1]
    assert len(store.readings("films@70")) == 1


def test_a_server_that_does_not_come_back_is_one_sentence(url, server):
    with closing(Store(url, patience=0.3)) as store:
        server.stop()
        try:
            with pytest.raises(StoreBusy, match=r"no server answers|interrupted by its server"):
                store.runs()
        finally:
            server.start()
        assert store.runs() == []


# --- several servers, erasing, copying ------------------------------------------------------


def test_two_servers_on_one_store_share_links_sessions_and_readings(store):
    secret = link(store)
    with serving(store.path) as one, serving(store.path) as two:
        with visiting(one, secret) as lee:
            assert send(lee, 1, reading([6]), reading_id="a" * 32).status_code == 200
            lee.base_url = two
            lee.headers["Origin"] = two
            assert send(lee, 1, reading([6]), reading_id="a" * 32).status_code == 200
            assert send(lee, 2).status_code == 200
            assert lee.get("/api/session").json()["rounds"][0]["read"] == 2
    assert [one.squares for one in store.readings("films@70")] == [(6,), (6,)]
    check_content(store, "films")


def test_a_reader_is_erased_from_one_run_or_from_all(store):
    add_round(store, run="other")
    for run in ("films", "other"):
        for name in ("Dr. Lee", "Dr. Hope"):
            store.add(Reading(f"{run}@70#1", name, "focus", (6,), reason="moved"))
            sign_in(store, link(store, name, run=run))
    assert erase_reader(store, "Dr. Lee", "films") == "erased reader 1"
    assert [one.reader for one in store.readings("films@70")] == ["erased reader 1", "Dr. Hope"]
    assert [one.reader for one in store.readings("other@70")] == ["Dr. Lee", "Dr. Hope"]
    assert [one.good for one in invitations(store, "films")] == [False, True]
    assert [one.good for one in invitations(store, "other")] == [True, True]
    assert "Dr. Lee" not in str(audit.newest(store, "films"))
    assert erase_reader(store, "Dr. Hope") == "erased reader 2"
    assert "Hope" not in str(audit.newest(store, "films") + audit.newest(store, "other"))
    assert [one.reason for one in store.readings("films@70")] == ["", ""]


def test_two_erasures_at_once_take_two_numbers(store, url):
    for name in ("Dr. Lee", "Dr. Hope"):
        store.add(Reading("films@70#1", name, "skip"))
    with closing(Store(url)) as other:
        numbers = at_once(
            lambda: erase_reader(store, "Dr. Lee"), lambda: erase_reader(other, "Dr. Hope")
        )
    assert sorted(numbers) == ["erased reader 1", "erased reader 2"]


def test_an_erased_run_leaves_the_others_and_their_images(store):
    same = make_case(1, image=np.ones((4, 4), np.uint8))
    for run in ("films", "other"):
        if run == "other":
            add_round(store, run=run)
        store.open_round(run, 90, RoundSettings(), [replace(same, id=f"{run}@90#1")])
    store.add(Reading("films@70#1", "Lee", "skip"))
    erase_run(store, "films")
    assert [row["name"] for row in store.runs()] == ["other"]
    assert store.cases("other@90")[0].image.tolist() == np.ones((4, 4)).tolist()
    with store.read() as db:
        assert len(db.execute(schema.images.select()).all()) == 4
        assert db.execute(schema.readings.select()).all() == []


def test_a_round_that_is_opened_while_another_run_is_erased_has_its_images(store, monkeypatch):
    with closing(Store(store.path)) as other:
        other.add_run("other", class_names=["normal", "TB"], settings={}, versions={})
        add_round_ = Store._add_round

        def erased_before(*args):
            erase_run(store, "films")  # deletes images that no case shows yet
            return add_round_(*args)

        monkeypatch.setattr(Store, "_add_round", erased_before)
        held = add_round(other, run="other")
        assert len(other.cases(held.id)) == 3
        assert all(case.image.any() for case in other.cases(held.id))


def filled(store):
    """Readings, looks, links, an audit and progress in a store's run."""
    secret = link(store, "Dr. Lee")
    sign_in(store, secret)
    for squares in ((1,), (2, 3)):  # the second replaces the first
        store.add(Reading("films@70#1", "Dr. Lee", "focus", squares, reason="Größe ✓", seconds=0.1))
    store.add(Reading("films@70#2", "Dr. Lee", "focus", (), misleading=(4,), squares_before=(1,)))
    Progress(store).report("films", state="finished", epoch=1, epochs=2)
    Progress(store).add_result("films", 1, {"accuracy": 0.1 + 0.2, "auroc": float("nan")})
    return store


def test_a_run_goes_into_a_database_and_back_with_every_row(store, tmp_path, url):
    with closing(Store(tmp_path / "a.sqlite")) as file:
        filled(file) if file.runs() else add_round(file)
        filled(file)
        erase_run(store, "films")
        add_round(store, run="other", epoch=3)
        store.add(Reading("other@3#1", "Wu", "skip"))  # numbers of rows are taken there
        counts = copy_runs(file, store, "films")
        assert (counts["cases"], counts["readings"]) == (3, len(file.readings("films@70")))
        assert store.readings("films@70") == file.readings("films@70")
        assert store.current_readings("films@70") == file.current_readings("films@70")
        with pytest.raises(StoreError, match="already has a run 'films'"):
            copy_runs(file, store, "films")
        with closing(Store(tmp_path / "b.sqlite")) as back:
            copy_runs(store, back, "films")
            with file.read() as one, back.read() as two:
                assert digests(one, "films") == digests(two, "films")
            check_content(back)
    assert sorted(row["name"] for row in store.runs()) == ["films", "other"]


def test_runs_of_one_name_go_into_a_database_under_names_of_their_own(store, tmp_path):
    with ExitStack() as stack:
        files = [stack.enter_context(closing(Store(tmp_path / f"{i}.sqlite"))) for i in range(2)]
        for file in files:
            add_round(file)
            filled(file)
        counts = copy_renamed({f"s-{i}": (file, "films") for i, file in enumerate(files)}, store)
        assert (counts["runs"], counts["cases"], counts["readings"]) == (2, 6, 6)
        for i, file in enumerate(files):
            with file.read() as one, store.read() as two:
                assert digests(one, "films", ("films", f"s-{i}")) == digests(two, f"s-{i}")
            names = [(case.id, case.round, case.run) for case in store.cases(f"s-{i}@70")]
            assert names[0] == (f"s-{i}@70#1", f"s-{i}@70", f"s-{i}")
        check_content(store, "s-1")
        with pytest.raises(StoreError, match="already has a run 's-1'"):
            copy_renamed({"s-1": (files[1], "films")}, store)
        with pytest.raises(StoreError, match="already has rows of 's-2', in a run of another name"):
            copy_renamed({"s-2": (files[0], "films")}, store)
    assert "s-2" not in [row["name"] for row in store.runs()]


def test_a_copy_that_differs_is_not_kept(store, tmp_path, monkeypatch):
    filled(store)
    real = digests

    def differing(db, *names):
        found = real(db, *names)
        if db.dialect.name == "sqlite":
            found["readings"] = found["readings"][:-1]
        return found

    monkeypatch.setattr("imil.store.copying.digests", differing)
    with closing(Store(tmp_path / "a.sqlite")) as file:
        with pytest.raises(StoreError, match="rows of 'readings' differ"):
            copy_runs(store, file)
        assert file.runs() == []


def test_a_backup_is_a_store_with_all_rows(store, tmp_path):
    filled(store)
    back_up(store, tmp_path / "backup.sqlite")
    with closing(Store(tmp_path / "backup.sqlite")) as copy:
        with store.read() as one, copy.read() as two:
            assert digests(one, None) == digests(two, None)
        check_content(copy)
        back_up(copy, tmp_path / "again.sqlite")
    with closing(Store(tmp_path / "again.sqlite", readonly=True)) as again:
        assert len(again.readings("films@70")) == 3
    with pytest.raises(StoreError, match="exists: give the name of a new file"):
        back_up(store, tmp_path / "backup.sqlite")
    assert not list(tmp_path.glob(".*")), "no half of a file is left"
