"""Runs with `--store URL`: trained, killed, resumed, served, moved; the password is in no file."""

import os
import signal
from collections import Counter
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from postgres_server import PASSWORD, QUOTED, running_server
from processes import command, start
from rooms import ANY_PORT
from test_killed import _at
from typer.testing import CliRunner

from imil.cli.main import app
from imil.errors import StoreError
from imil.phantom.dataset import write_phantoms
from imil.run_folder import RunFolder
from imil.settings import load_config, resolve
from imil.store import Store
from imil.store.copy_commands import copy_store
from imil.store.run_progress import Progress
from imil.store_claim import move_store
from imil.web.child_server import start_server_process

pytestmark = pytest.mark.process

WORDS = [
    *("--model", "test_resnet", "--image-size", "32", "--epochs", "3", "--batch-size", "8"),
    *("--imil-epoch", "1", "--num-outliers", "4", "--reader", "simulated"),
]


@pytest.fixture(scope="module")
def server():
    with running_server() as started:
        yield started


@pytest.fixture
def url(server):
    made = server.new_store()
    yield made
    server.drop(made)


def bare(url):
    """The address without its password."""
    return url.replace(f":{QUOTED}", "")


def train_and_die(films, folder, url):
    os.chdir(folder)
    from imil.training.launch import new_run
    from imil.training.run_setup import set_up_run

    _at([("imil.store", "Store.add", 2, "after")], lambda _point: os.kill(os.getpid(), 9))
    names = dict(zip(WORDS[::2], WORDS[1::2], strict=True))
    flags = {name.strip("-").replace("-", "_"): value for name, value in names.items()}
    settings, run = set_up_run(flags | {"data": str(films), "store": url}, None, folder / "run")
    new_run(settings, run, folder / "cache")


@pytest.mark.slow
def test_a_run_in_a_database_is_killed_resumed_and_used(tmp_path, url, monkeypatch):
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0)
    assert start(train_and_die, films, tmp_path, url) == -signal.SIGKILL
    folder = RunFolder(tmp_path / "run")
    assert not folder.store.exists()
    with closing(Store(url, readonly=True)) as store:
        assert [row["name"] for row in store.runs()] == ["run"]
        assert len(store.readings("run@1")) == 2

    wrong = command(["resume", "run"], tmp_path, PGPASSWORD="wrong")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "refuses the user or the password" in wrong.stderr
    result = command(["resume", "run"], tmp_path, PGPASSWORD=PASSWORD)
    assert result.returncode == 0, result.stderr
    assert folder.metrics.exists()
    assert folder.page.exists()
    assert not folder.store.exists()
    with closing(Store(url, readonly=True)) as store:
        asked = Counter(one.case for one in store.readings("run@1"))
        assert sorted(asked.values()) == [1] * 4, "no case is asked twice"
        assert Progress(store).training("run").state == "finished"

    # another folder of the same name is another run
    words = ["train", films, *WORDS, "--cache", "cache", "--out", "other/run", "--store", url]
    taken = command(words, tmp_path)
    assert (taken.returncode, taken.stderr.count("\n")) == (2, 1), taken.stderr
    assert "already has a run 'run': give another --out" in taken.stderr
    assert not (tmp_path / "other/run").exists()

    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    for source in (str(folder.path), bare(url)):
        shown = CliRunner().invoke(app, ["rounds", source])
        assert "4 of 4 cases read" in shown.output, shown.output
        table = CliRunner().invoke(app, ["export", source]).output
        assert table.count("\n") == 5, table
        link = CliRunner().invoke(app, ["invite", source, "Dr. Lee"])
        assert "/in/" in link.output, link.output
    backup = CliRunner().invoke(app, ["store", "backup", "run", "b.sqlite"])
    assert backup.exit_code == 2, "there is no folder of that name here"
    words = ["store", "backup", str(folder.path), str(tmp_path / "b.sqlite")]
    assert CliRunner().invoke(app, words).exit_code == 0
    with closing(Store(tmp_path / "b.sqlite", readonly=True)) as store:
        assert len(store.readings("run@1")) == 4

    words = ["store", "erase", bare(url), "--reader", "Dr. Lee", "--yes"]
    erased = CliRunner().invoke(app, words)
    assert erased.exit_code == 0, erased.output
    words = ["store", "erase", str(folder.path), "--yes", "--cache", str(tmp_path / "cache")]
    assert CliRunner().invoke(app, words).exit_code == 0
    with closing(Store(url)) as store:
        assert store.runs() == []

    names = (PASSWORD, QUOTED)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not any(name.encode() in path.read_bytes() for name in names), path


def test_a_server_in_a_child_process_gets_the_password_by_its_environment_alone(url):
    with closing(Store(url)) as store:
        store.add_run("films", class_names=["a", "b"], settings={}, versions={})
        with start_server_process(store.path, "films", config=ANY_PORT) as room:
            words = Path(f"/proc/{room.process.pid}/cmdline").read_bytes()
            assert bare(url).encode() in words
            assert QUOTED.encode() not in words
            assert PASSWORD.encode() not in words
            assert httpx.get(f"{room.address}/healthz").text == "ok"


@pytest.fixture
def folder(tmp_path):
    """The folder of a run whose store is in it."""
    made = RunFolder(tmp_path / "films")
    made.path.mkdir()
    resolve({"data": "x.csv"}).write(made.config)
    with closing(Store(made.store)) as store:
        store.add_run("films", class_names=["a", "b"], settings={"lr": 0.1}, versions={})
    return made


def test_a_run_moves_into_a_database_and_back(folder, url, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    database = resolve({"data": "x.csv", "store": bare(url)}).store
    with pytest.raises(StoreError, match=r"has no run 'films': copy it first"):
        move_store(folder, database)
    said = copy_store(str(folder.path), bare(url), None)
    assert "0 rounds, 0 cases, 0 readings" in said
    move_store(folder, database)
    assert load_config(folder.config)["store"] == bare(url)
    assert folder.database_run.exists()
    folder.store.unlink()
    copy_store(str(folder.path), str(folder.store), None)
    move_store(folder, None)
    assert load_config(folder.config)["store"] == "run"
    assert not folder.database_run.exists()
    with closing(Store(folder.store, readonly=True)) as store:
        assert [row["name"] for row in store.runs()] == ["films"]


def test_a_run_whose_training_goes_on_is_not_copied(folder, url):
    with closing(Store(folder.store)) as store:
        Progress(store).report("films", state="waiting", epoch=1, epochs=2)
    with pytest.raises(StoreError, match="the training of 'films' is going on: stop it"):
        copy_store(str(folder.path), url, None)


def test_a_copy_that_is_refused_leaves_no_new_file(folder, url, tmp_path):
    target = tmp_path / "new.sqlite"
    with pytest.raises(StoreError, match="no run 'other'"):
        copy_store(str(folder.path), str(target), "other")
    assert not target.exists()
