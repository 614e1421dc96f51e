"""A store is made whole or not at all, however its process ends."""

import os
import signal
import sqlite3
from contextlib import closing

import pytest
from processes import start

from imil.errors import StoreError
from imil.store import Store, schema_version

# where the process that makes a store is killed: a function, and which of its calls
POINTS = [
    ("sqlite3.connect", 1),
    ("alembic.op.create_table", 1),
    ("alembic.op.create_table", 5),
    ("alembic.op.execute", 2),
    ("alembic.op.add_column", 3),
    ("os.link", 1),
]


def make_and_die(path, point, call):
    """Make a store; kill -9 at that call of the function."""
    import alembic.op  # noqa: F401

    from imil.store import Store

    module, _, name = point.rpartition(".")
    home = __import__(module, fromlist=[name])
    real, calls = getattr(home, name), []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(home, name, dying)
    Store(path)


@pytest.mark.parametrize(("point", "call"), POINTS)
def test_a_store_that_was_killed_while_it_was_made_is_not_there(tmp_path, point, call):
    path = tmp_path / "imil.sqlite"
    assert start(make_and_die, path, point, call) == -signal.SIGKILL
    assert not path.exists()
    assert schema_version(path) is None
    with closing(Store(path)) as store:
        store.add_run("r", class_names=["a", "b"], settings={}, versions={})
    with closing(Store(path, readonly=True)) as store:
        assert [row["name"] for row in store.runs()] == ["r"]


@pytest.mark.parametrize("content", ["nothing", "a journal mode"])
def test_what_an_earlier_version_left_is_no_store_and_becomes_one(tmp_path, content):
    path = tmp_path / "imil.sqlite"
    path.touch()
    if content != "nothing":
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
    assert schema_version(path) is None
    with closing(Store(path)) as store:
        assert store.runs() == []
    assert schema_version(path) is not None


def test_on_a_full_disk_no_store_is_left_and_the_message_says_so(tmp_path):
    assert start(_make_on_a_full_disk, tmp_path / "imil.sqlite") == 0
    assert list(tmp_path.iterdir()) == []


def _make_on_a_full_disk(path):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    with pytest.raises(StoreError, match=r"full disk|does not answer"):
        Store(path)


def test_a_store_is_readable_by_its_owner_alone(tmp_path):
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        store.add_run("r", class_names=["a", "b"], settings={}, versions={})
        files = sorted(tmp_path.iterdir())
        assert len(files) == 3, "with the journal of an open store"
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_killed_process_leaves_a_file_that_a_later_one_deletes(tmp_path):
    path = tmp_path / "imil.sqlite"
    start(make_and_die, path, "alembic.op.create_table", 1)
    left = [file for file in tmp_path.iterdir() if ".half" in file.name]
    assert left
    for file in left:
        os.utime(file, (0, 0))
    Store(path).close()
    assert not [file for file in tmp_path.iterdir() if ".half" in file.name]
