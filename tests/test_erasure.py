"""Erasing readers, runs and studies: nothing that names a person or shows a film is left."""

import os
from contextlib import closing

import pytest
from processes import command
from reader_contract import make_case
from rooms import KEY, add_round, film, link, make_store
from typer.testing import CliRunner

from imil.cases import Reading, RoundSettings
from imil.cli.main import app
from imil.data.cache_entries import cache_entries
from imil.data.image_cache import decode_images
from imil.data.table import read_data
from imil.errors import StoreError
from imil.permissions import VARIABLE, restrict, share_with_group
from imil.phantom.dataset import write_phantoms
from imil.reader_panel import ReaderPanel
from imil.run_folder import RunFolder
from imil.settings import load_config, resolve
from imil.store import Store, round_state
from imil.store.audit import newest
from imil.store.content_check import check_content
from imil.store.erase import erase_reader, erase_run
from imil.store.invitations import invitations, sign_in, visitor
from imil.store.row_mapping import deflate

NAME, REASON = "Dr. Grete Lee", "Mrs. Mueller moved during the exposure"


@pytest.fixture
def path(tmp_path):
    """A store with two runs, both read by two persons; one image is shown in both."""
    with closing(make_store(tmp_path)) as store:
        add_round(store, run="other", film=lambda _number: film(71 + len("films")))
        for run in ("films", "other"):
            for name in (NAME, "Dr. Hope"):
                store.add(Reading(f"{run}@70#1", name, "focus", (6,), reason=REASON))
                secret = link(store, name, run=run)
                token, _ = sign_in(store, secret)
                assert visitor(store, token)
    return tmp_path / "imil.sqlite"


def everything(path):
    """The bytes of a store and its journal."""
    files = [path, *path.parent.glob(f"{path.name}-*")]
    return b"".join(file.read_bytes() for file in files)


def test_of_an_erased_reader_no_byte_is_left_and_the_readings_stay(path):
    assert NAME.encode() in everything(path)
    with closing(Store(path)) as store:
        number = erase_reader(store, NAME)
        assert number == "erased reader 1"
        assert NAME.encode() not in everything(path)
        readings = store.readings("films@70")
        assert [(r.reader, r.squares, r.reason) for r in readings] == [
            (number, (6,), ""),
            ("Dr. Hope", (6,), REASON),
        ]
        lines = newest(store, "films")
        assert (lines[0].what, lines[0].detail) == ("erasure", f"reader, now '{number}'")
        assert {line.who for line in lines if line.what == "sign-in"} == {number, "Dr. Hope"}
        assert [one.good for one in invitations(store, "films")] == [False, True]
        check_content(store)
        with pytest.raises(StoreError, match=r"has no reader 'Dr\. Grete Lee'"):
            erase_reader(store, NAME)
        assert erase_reader(store, "Dr. Hope") == "erased reader 2"
    with closing(Store(path)) as store, pytest.raises(Exception, match="append-only"):
        with store.write() as db:
            db.exec_driver_sql("DELETE FROM readings")


def test_the_name_goes_from_the_readers_of_rounds_and_from_who_was_waited_for(tmp_path):
    panel = ReaderPanel((NAME, "Dr. Hope"), arbiter="Dr. Kim")
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        settings = {"readers": [NAME, "Dr. Hope"], "reader_name": "reader"}
        store.add_run("films", class_names=["normal", "TB"], settings=settings, versions={})
        cases = [make_case(1, run="films")]
        store.open_round("films", 70, RoundSettings(panel=panel), cases)
        for name in panel.readers:
            link(store, name)
            store.add(Reading("films@70#1", name, "focus", (6,)))
        round_state.finish(store, "films", 70, "films@70", "Dr. Hope")  # waits for the other
        number = erase_reader(store, NAME)
        assert NAME.encode() not in everything(store.path)
        assert store.rounds()[0].settings.panel.readers == (number, "Dr. Hope")
        assert store.runs()[0]["settings"]["readers"] == [number, "Dr. Hope"]


def test_the_name_goes_from_a_runs_settings_and_files_that_still_have_it_are_named(tmp_path):
    folder = RunFolder(tmp_path / "films")
    folder.path.mkdir()
    settings = resolve({"data": "x.csv", "readers": [NAME, "Dr. Hope"], "arbiter": "Dr. Kim"})
    settings.write(folder.config)
    folder.page.write_text(f"<p>{NAME}</p>", encoding="utf-8")
    with closing(Store(folder.store)) as store:
        add_round(store, "films", cases=1)
        store.add(Reading("films@70#1", NAME, "focus", (6,)))
    words = ["store", "erase", str(folder.path), "--yes", "--reader", NAME]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert f"These files still have the name: {folder.page.name}." in result.output
    assert load_config(folder.config)["readers"] == ["erased reader 1", "Dr. Hope"]
    assert resolve(load_config(folder.config)).arbiter == "Dr. Kim"
    words = ["store", "erase", str(folder.store), "--yes", "--reader", "erased reader 1"]
    assert "the config.toml of the run's folder still does" in CliRunner().invoke(app, words).output


def test_of_an_erased_run_the_audit_alone_is_left_without_names(path):
    shared = deflate(film(71 + len("films")))
    with closing(Store(path)) as store:
        erase_run(store, "films")
        assert [row["name"] for row in store.runs()] == ["other"]
        assert f"{KEY}/films".encode() not in everything(path)
        assert deflate(film(2 + 70 + len("films"))) not in everything(path)
        assert shared in everything(path), "the other run shows it"
        kept = newest(store, "erased")
        assert {line.who for line in kept} == {"erased", "owner"}
        assert {line.what for line in kept} >= {"sign-in", "invitation", "erasure"}
        assert len(store.readings("other@70")) == 2
        erase_run(store, "other")
        assert shared not in everything(path)
        assert NAME.encode() not in everything(path)
        assert NAME.split()[1].encode() not in everything(path)
        check_content(store)


@pytest.mark.slow
def test_a_run_is_private_and_goes_with_its_decoded_images(tmp_path):
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0)
    words = f"train {films} --model test_resnet --image-size 32 --epochs 2 --imil-epoch 1 "
    words += "--batch-size 8 --num-outliers 2 --reader simulated --out run --cache cache"
    result = command(words.split(), tmp_path)
    assert result.returncode == 0, result.stderr
    for path in [*(tmp_path / "run").rglob("*"), *(tmp_path / "cache").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    other = write_phantoms(tmp_path / "other", n=4, size=48, seed=1)
    decode_images(read_data(other), size=16, folder=tmp_path / "cache")
    decode_images(read_data(films), size=16, folder=tmp_path / "cache")
    assert len(cache_entries(tmp_path / "cache")) == 3
    words = ["store", "erase", str(tmp_path / "run"), "--yes", "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 files of decoded images" in result.output
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left - {".lock", "imil.sqlite-wal", "imil.sqlite-shm"} == {"imil.sqlite"}
    assert len(cache_entries(tmp_path / "cache")) == 1


def test_the_cache_is_listed_and_cleared(tmp_path):
    films = write_phantoms(tmp_path / "films", n=4, size=48, seed=0)
    cache = tmp_path / "cache"
    decode_images(read_data(films), size=16, folder=cache)
    (cache / "damaged.npy").write_bytes(b"")
    listed = CliRunner().invoke(app, ["cache", "list", "--cache", str(cache)]).output
    assert "2 files" in listed
    assert "4 images     16 px" in listed
    assert (
        "Deleted 2 files"
        in CliRunner().invoke(app, ["cache", "clear", "--cache", str(cache)]).output
    )
    assert not list(cache.glob("*.npy")) + list(cache.glob("*.json"))


def test_with_group_the_group_may_read_and_write_and_others_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    before = os.umask(0o022)
    try:
        restrict()
        (tmp_path / "own").mkdir()
        monkeypatch.setenv(VARIABLE, "0")
        share_with_group()
        with closing(make_store(tmp_path)):
            (tmp_path / "shared").mkdir()
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert (modes.pop("own"), modes.pop("shared")) == (0o700, 0o770)
    assert set(modes.values()) == {0o660}
