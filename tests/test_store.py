"""The store on a real file: nothing lost, nothing altered, other files left alone."""

import gc
import json
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from reader_contract import make_case
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from imil.cases import Reading, RoundSettings
from imil.errors import DataError, NotFound, SettingsError, SquareError, StoreError
from imil.grid import Grid
from imil.store import Store, schema
from imil.store.row_mapping import deflate, image_row, inflate

make_case = partial(make_case, run="r", epoch=3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "imil.sqlite"


@pytest.fixture
def store(path):
    made = Store(path)
    made.add_run("r", class_names=["normal", "TB"], settings={"lr": 0.1}, versions={"imil": "0"})
    yield made
    made.close()


@pytest.fixture
def held(store):
    return store.open_round("r", 3, RoundSettings(grid=Grid(4, 6)), [make_case(1), make_case(2)])


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(20, dtype=np.uint8).reshape(4, 5),
        np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000,
        np.arange(60, dtype=np.uint8).reshape(4, 5, 3),
    ],
)
def test_an_image_comes_back_as_it_was_shown_pixel_for_pixel(store, pixels):
    held = store.open_round("r", 3, RoundSettings(), [make_case(1, image=pixels)])
    back = store.cases(held.id)[0].image
    assert back.dtype == pixels.dtype
    assert (back == pixels).all()


@contextmanager
def opened(path):
    """The file as SQLite has it; a connection's own `with` commits, and leaves it open."""
    with closing(sqlite3.connect(path)) as raw, raw:
        yield raw


def test_a_case_comes_back_with_everything_the_reader_needs(store):
    store.open_round("r", 3, RoundSettings(grid=Grid(4, 6)), [make_case(7, earlier=(2, 3))])
    case = store.cases("r@3")[0]
    assert case == replace(make_case(7, earlier=(2, 3)), grid=Grid(4, 6))
    assert (case.run, case.epoch, case.round) == ("r", 3, "r@3")
    assert (case.cam_predicted == make_case(7).cam_predicted).all()
    assert (case.cam_true == make_case(7).cam_true).all()


def test_heat_maps_and_images_are_decoded_only_when_they_are_looked_at(store, monkeypatch):
    cases = [make_case(n, image=np.full((4, 5), n, np.uint8)) for n in range(1, 201)]
    held = store.open_round("r", 3, RoundSettings(), cases)
    decoded = []
    monkeypatch.setattr("imil.store.store.inflate", lambda *a: decoded.append(1) or inflate(*a))
    assert [case.key for case in store.cases(held.id)] == [case.key for case in cases]
    assert [case.key for case in store.unread(held.id)] == [case.key for case in cases]
    assert decoded == []
    assert (store.cases(held.id)[6].cam_true == cases[6].cam_true).all()
    assert decoded == [1]


def test_a_heat_map_that_the_store_does_not_have_is_named(store):
    with pytest.raises(NotFound, match="has no case 'r@3#1'"):
        store.heat_map("r@3#1", "true")


def test_the_same_image_is_stored_once(store, path):
    same = np.ones((4, 4), np.uint8)
    store.open_round("r", 3, RoundSettings(), [make_case(i, image=same) for i in (1, 2)])
    with opened(path) as raw:
        assert raw.execute("SELECT count(*) FROM images").fetchone() == (1,)


def test_images_are_written_while_others_are_read_and_a_restarted_round_finds_them(store, path):
    def stop():
        raise KeyboardInterrupt

    # 8 threads at most, and two films a thread wait
    cases = [make_case(i, image=np.full((4, 4), i, np.uint8)) for i in range(1, 41)]
    stopped = replace(cases[-1], load_image=stop)
    with pytest.raises(KeyboardInterrupt):
        store.open_round("r", 3, RoundSettings(), [*cases[:-1], stopped])
    assert store.rounds() == []
    with opened(path) as raw:
        (written,) = raw.execute("SELECT count(*) FROM images").fetchone()
        assert 20 <= written < 40
        raw.execute("UPDATE images SET low = 1")  # a mark
    held = store.open_round("r", 3, RoundSettings(), cases)
    assert [case.image[0, 0] for case in store.cases(held.id)] == [
        case.image[0, 0] for case in cases
    ]
    with opened(path) as raw:
        marked = raw.execute("SELECT count(*) FROM images WHERE low = 1").fetchone()
        assert marked == (written,)
        assert raw.execute("SELECT count(*) FROM images").fetchone() == (40,)


def test_a_reading_is_seen_by_another_process_as_soon_as_add_returns(store, held, path):
    store.add(Reading("r@3#1", "Lee", "focus", (3, 2), reason="the letter", seconds=4.5))
    script = (
        "import sys; from imil.store import Store\n"
        "print(Store(sys.argv[1], readonly=True).readings('r@3')[0].squares)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "(2, 3)"


def test_readings_are_on_the_disk_and_not_in_the_systems_memory(store):
    with store.read() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert db.exec_driver_sql("PRAGMA page_size").scalar() == 16384


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_invalid_seconds_are_refused(store, held, seconds):
    with pytest.raises(SettingsError, match=r"invalid seconds .*: expected 0 or more"):
        store.add(Reading("r@3#1", "Lee", "skip", seconds=seconds))
    assert store.readings(held.id) == []


def test_a_round_that_another_process_has_opened_is_named(store, held):
    with pytest.raises(StoreError, match=r"another process has opened round r@3 in .* meanwhile"):
        store.open_round("r", 3, RoundSettings(), [make_case(1)])
    assert len(store.cases(held.id)) == 2


def test_a_changed_answer_is_a_new_reading_and_the_newest_counts(store, held):
    store.add(Reading("r@3#1", "Lee", "focus", (1,)))
    store.add(Reading("r@3#1", "Lee", "skip"))
    assert [r.verdict for r in store.readings(held.id)] == ["focus", "skip"]
    assert store.current_readings(held.id)["r@3#1"].verdict == "skip"


@pytest.mark.parametrize("change", ["UPDATE readings SET reason = 'x'", "DELETE FROM readings"])
def test_a_stored_reading_can_be_neither_altered_nor_deleted(store, held, path, change):
    store.add(Reading("r@3#1", "Lee", "focus", (1,)))
    with opened(path) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(change)


def test_the_same_reading_sent_twice_is_stored_once(store, held):
    reading = Reading("r@3#1", "Lee", "focus", (1,))
    store.add(reading)
    store.add(reading)
    assert len(store.readings(held.id)) == 1


def test_unread_cases_come_in_reading_order(store, held):
    store.add(Reading("r@3#1", "Lee", "skip"))
    assert [case.number for case in store.unread(held.id)] == [2]


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(),
    reason="looks up open files in /proc/self/fd, which Linux has and this system has not",
)
def test_a_store_that_is_not_closed_releases_its_file_when_collected(tmp_path):
    path = tmp_path / "imil.sqlite"

    def opened():
        return [link for link in Path("/proc/self/fd").iterdir() if link.resolve() == path]

    store = Store(path)
    store.runs()
    assert opened()
    del store
    gc.collect()
    assert not opened()


def test_a_closed_round_takes_no_reading_but_confirms_one_it_has(store, held):
    reading = Reading("r@3#1", "Lee", "skip")
    store.add(reading)
    store.mark(held, "closed")
    store.add(reading)
    with pytest.raises(StoreError, match="only while it is open"):
        store.add(Reading("r@3#2", "Lee", "skip"))


@pytest.mark.parametrize(
    ("reading", "error", "message"),
    [
        (Reading("r@3#1", "Lee", "focus", (25,)), SquareError, "outside a 4×6 grid"),
        (Reading("r@3#1", "Lee", "focus"), SettingsError, "select at least one"),
        (Reading("r@3#1", "Lee", "maybe"), SettingsError, "unknown verdict"),
        (Reading("r@3#9", "Lee", "skip"), StoreError, "no case 'r@3#9'"),
    ],
)
def test_an_invalid_reading_is_refused(store, held, reading, error, message):
    with pytest.raises(error, match=message):
        store.add(reading)
    assert store.readings(held.id) == []


def test_a_round_is_stored_whole_or_not_at_all(store):
    twice = [make_case(1), make_case(1)]
    with pytest.raises(Exception, match="UNIQUE"):
        store.open_round("r", 3, RoundSettings(), twice)
    assert store.rounds() == []


def test_images_are_compressed_by_several_threads_and_read_by_one(store, monkeypatch):
    both, readers = threading.Barrier(2, timeout=600), set()

    def row(image):
        both.wait()  # breaks unless two are at work
        return image_row(image)

    def read(number):
        readers.add(threading.get_ident())
        return np.full((4, 5), number, np.uint16)

    monkeypatch.setattr("imil.threads.processors", lambda: 2)
    monkeypatch.setattr("imil.store.store.image_row", row)
    cases = [replace(make_case(n), load_image=partial(read, n)) for n in range(1, 7)]
    held = store.open_round("r", 3, RoundSettings(), cases)
    assert [case.image[0, 0] for case in store.cases(held.id)] == [1, 2, 3, 4, 5, 6]
    assert readers == {threading.get_ident()}, "a data set need not bear several threads"


def test_threadsafe_images_are_read_by_several_threads(store, monkeypatch):
    both = threading.Barrier(2, timeout=600)

    def read(number):
        both.wait()  # breaks unless two are at work
        return np.full((4, 5), number, np.uint16)

    monkeypatch.setattr("imil.threads.processors", lambda: 2)
    cases = [
        replace(make_case(n), load_image=partial(read, n), threadsafe=True) for n in range(1, 7)
    ]
    held = store.open_round("r", 3, RoundSettings(), cases)
    assert [case.load_image()[0, 0] for case in store.cases(held.id)] == [1, 2, 3, 4, 5, 6]


def test_an_image_that_cannot_be_read_leaves_no_round(store):
    def lost():
        raise DataError("the film is gone")

    cases = [make_case(1), replace(make_case(2), load_image=lost), make_case(3)]
    with pytest.raises(DataError, match="gone"):
        store.open_round("r", 3, RoundSettings(), cases)
    assert store.rounds() == []


def test_rounds_are_found_by_run_and_epoch(store, held):
    assert store.find_round("r", 3) == held
    assert store.find_round("r", 4) is None
    assert store.mark(held, "closed").state == "closed"
    assert [r.state for r in store.rounds("r")] == ["closed"]
    assert store.rounds("other") == []


def test_a_run_of_other_classes_is_refused(store):
    with pytest.raises(StoreError, match="another name"):
        store.add_run("r", class_names=["a", "b", "c"], settings={}, versions={})


def test_an_image_that_the_store_does_not_have_is_named(store):
    with pytest.raises(StoreError, match="no image abc"):
        store.image("abc")


def test_the_migrations_make_exactly_the_tables_of_the_schema(store, path):
    with create_engine(f"sqlite:///{path}", poolclass=NullPool).connect() as db:
        assert compare_metadata(MigrationContext.configure(db), schema.metadata) == []
    assert ScriptDirectory("src/imil/store/migrations").get_current_head() == schema.HEAD


def old_store(path, version):
    """A store of an earlier schema with one round and one reading."""
    config = Config()
    config.set_main_option("script_location", "imil:store/migrations")
    with create_engine(f"sqlite:///{path}", poolclass=NullPool).begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, version)
    image, cam = image_row(np.zeros((2, 2), np.uint8)), deflate(np.zeros((2, 2), np.float32))
    shape = "[2, 2]"
    with opened(path) as raw:
        raw.execute("INSERT INTO runs VALUES ('r', '', '[\"a\", \"b\"]', '{}', '{}')")
        settings = json.dumps(RoundSettings().as_dict())
        raw.execute("INSERT INTO rounds VALUES ('r@3', 'r', 3, ?, 'open', '', NULL)", [settings])
        raw.execute("INSERT INTO images (sha256, dtype, shape, pixels) VALUES (?, 'uint8', ?, ?)",
                    [image["sha256"], shape, image["pixels"]])  # fmt: skip
        raw.execute("INSERT INTO cases VALUES "
                    "('r@3#1', 'r@3', 1, 'k', 0, 1, 0.9, ?, ?, ?, ?, NULL)",
                    [image["sha256"], shape, cam, cam])  # fmt: skip
        raw.execute("INSERT INTO readings VALUES (1, 'i', 'r@3#1', 'Lee', 'focus', '[6]', NULL, "
                    "'why', 2.5, 'then')")  # fmt: skip


OLD = Reading("r@3#1", "Lee", "focus", (6,), "why", 2.5, id="i", created="then")


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_an_older_store_is_brought_up_to_date_with_all_its_readings(path, version):
    old_store(path, version)
    with closing(Store(path)) as store:
        assert store.readings("r@3") == [OLD]
        assert store.cases("r@3")[0].image.tolist() == [[0, 0], [0, 0]]
        store.add(Reading("r@3#1", "Lee", "focus", (2,), misleading=(7, 3)))
        assert store.current_readings("r@3")["r@3#1"].misleading == (3, 7)
    with opened(path) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute("UPDATE readings SET misleading = '[1]'")


def test_a_store_of_the_schema_before_can_be_read_without_changing_it(path):
    old_store(path, "0002")
    before = path.read_bytes()
    with closing(Store(path, readonly=True)) as store:
        assert store.current_readings("r@3") == {"r@3#1": OLD}
        assert [case.id for case in store.unread("r@3")] == []
        with pytest.raises(StoreError, match="cannot be written"):
            store.add(Reading("r@3#1", "Lee", "skip"))
    assert path.read_bytes() == before


def test_a_store_that_is_too_old_to_be_read_as_it_is_says_what_to_do(path):
    old_store(path, "0001")
    with pytest.raises(StoreError, match="open it once with write access"):
        Store(path, readonly=True)


def test_a_store_of_a_newer_imil_is_refused_and_not_touched(store, path):
    store.close()
    with opened(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="install a newer imil"):
        Store(path)


def test_a_file_that_is_not_a_store_is_refused_and_not_touched(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to look at" * 50)
    other = tmp_path / "other.sqlite"
    with opened(other) as raw:
        raw.execute("CREATE TABLE recipes (name)")
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(StoreError, match="is not an imil store"):
            Store(path)
        assert path.read_bytes() == before


def test_opening_a_missing_store_for_reading_does_not_create_it(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        Store(tmp_path / "none.sqlite", readonly=True)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "no folder" / "imil.sqlite")
    with pytest.raises(StoreError, match="is a folder: give a file in it"):
        Store(tmp_path)


def test_a_readonly_store_cannot_be_written(store, held, path):
    with pytest.raises(StoreError, match="cannot be written"):
        Store(path, readonly=True).add(Reading("r@3#1", "Lee", "skip"))


def test_a_path_with_odd_characters_is_a_path(tmp_path):
    odd = tmp_path / "a b?c#d%e.sqlite"
    Store(odd).close()
    assert odd.is_file()


def _open_and_add(path, number, start):
    start.wait()
    store = Store(path)
    store.add_run("r", class_names=["normal", "TB"], settings={}, versions={})
    for _ in range(10):
        store.add(Reading("r@3#1", f"reader {number}", "skip"))


def test_many_processes_write_at_once_and_nothing_is_lost(store, held, path):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [context.Process(target=_open_and_add, args=(path, i, start)) for i in range(3)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(store.readings(held.id)) == 30


def test_two_processes_can_make_the_same_store_at_once(tmp_path):
    script = "import sys; from imil.store import Store; print(Store(sys.argv[1]).rounds())"
    path = tmp_path / "new.sqlite"
    starts = [
        subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [p.communicate()[0].strip() for p in starts] == ["[]"] * 3


def test_a_store_at_rest_can_be_read_in_a_write_protected_folder(guarded):
    path = guarded / "imil.sqlite"
    store = Store(path)
    store.add_run("r", class_names=["a", "b"], settings={}, versions={})
    store.close()
    path.chmod(0o444)
    guarded.chmod(0o555)
    try:
        reading = Store(path, readonly=True)
        assert [run["name"] for run in reading.runs()] == ["r"]
        reading.close()
        with pytest.raises(StoreError, match="cannot be written"):
            Store(path).add_run("s", class_names=["a", "b"], settings={}, versions={})
    finally:
        guarded.chmod(0o755)
