"""The web reader in a round: cases and readings are exchanged through the store."""

import sqlite3
import threading
import time

import numpy as np
import pytest
from rooms import NAMES, link, make_store, reading, send, serving, visiting

from imil.cases import Correction, Reading, RoundSettings
from imil.errors import SquareError, StoreBusy
from imil.grid import Grid
from imil.predictions import Predictions
from imil.readers.web_page import Web
from imil.rounds import run_round
from imil.store import Store
from imil.store.clock import now
from imil.store.run_progress import Progress


class Films:
    """Four images of class 1, predicted as class 0."""

    labels = np.ones(4, np.int64)
    class_names = NAMES

    def __init__(self):
        self.kept = {}

    def __len__(self):
        return 4

    def key(self, i):
        return f"film-{i}"

    def image(self, i):
        return np.full((8, 8), 10 + i, np.uint8)

    def correct(self, i, kept):
        self.kept[i] = kept

    def corrected(self, i):
        return self.kept.get(i)


class WrongModel:
    """A model that predicts class 0, with the highest confidence for the first image."""

    def predict(self, samples):
        sure = np.linspace(0.9, 0.6, len(samples))
        return Predictions.of(samples, np.stack([sure, 1 - sure], axis=1))

    def explain(self, samples, indices, classes):
        return [np.zeros((4, 4), np.float32) for _ in indices]


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "imil.sqlite")
    opened.add_run("films", class_names=NAMES, settings={}, versions={})
    yield opened
    opened.close()


@pytest.fixture
def address(store):
    with serving(store.path) as url:
        yield url


def start_round(store, samples, *, reader=None, results):
    """Run the round in a thread, as the training does, and append its result to `results`."""

    def run():
        web = reader or Web(store, interval=0.02)
        settings = RoundSettings(num_outliers=3, grid=Grid(4, 4))
        results.append(
            run_round(WrongModel(), samples, web, store, run="films", epoch=70, settings=settings)
        )

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not store.rounds("films"):
        assert thread.is_alive(), "the round ended at once"
        time.sleep(0.01)
    return thread


def test_a_round_ends_when_the_page_finishes_it_and_is_applied(store, address):
    samples, results, queries = Films(), [], threading.Semaphore(0)
    reader = Web(store, interval=0.02, check_server=queries.release)
    thread = start_round(store, samples, reader=reader, results=results)
    with visiting(address, link(store)) as lee:
        send(lee, 1, reading([6, 7]))
        send(lee, 2, reading([], "skip"))
        send(lee, 3, reading([1]))
        while queries.acquire(blocking=False):  # those before the last reading
            pass
        assert all(queries.acquire(timeout=60) for _ in range(3)), "the reader no longer waits"
        assert thread.is_alive(), "all cases are read, but readings may still be changed"
        send(lee, 3, reading([16]))
        lee.post("/api/rounds/70/finish", json={})
    thread.join()
    assert results[0].state == "applied"
    assert samples.kept == {0: Correction(Grid(4, 4), (6, 7)), 2: Correction(Grid(4, 4), (16,))}
    assert len(store.readings("films@70")) == 4, "each reading is stored once"


def test_the_owner_can_close_a_round_and_unread_cases_count_as_skipped(store, address):
    samples, results = Films(), []
    thread = start_round(store, samples, results=results)
    with visiting(address, link(store)) as lee:
        send(lee, 2, reading([5]))
    with visiting(address, link(store, "owner", kind="owner")) as owner:
        owner.post("/api/rounds/70/close", json={})
    thread.join()
    assert results[0].state == "applied"
    assert samples.kept == {1: Correction(Grid(4, 4), (5,))}


def test_an_interrupted_round_stays_open_and_keeps_its_readings(store, address):
    class Interrupted:
        def __call__(self, cases):
            for one in Web(store, interval=0.02)(cases):
                yield one
                raise KeyboardInterrupt

    samples = Films()
    with visiting(address, link(store)) as lee:
        statuses = []

        def read():
            while not store.rounds("films"):
                time.sleep(0.01)
            statuses.append(send(lee, 1, reading([6])).status_code)

        page = threading.Thread(target=read)
        page.start()
        settings = RoundSettings(num_outliers=3)
        with pytest.raises(KeyboardInterrupt):
            run_round(
                WrongModel(),
                samples,
                Interrupted(),
                store,
                run="films",
                epoch=70,
                settings=settings,
            )
        page.join()
        assert statuses == [200]
        assert store.rounds("films")[0].state == "open"
        assert samples.kept == {}
        send(lee, 2), send(lee, 3)
        results = []
        thread = start_round(store, samples, results=results)  # the training is resumed
        lee.post("/api/rounds/70/finish", json={})
        thread.join()
    assert results[0].state == "applied"
    assert set(samples.kept) == {0, 1, 2}


def test_a_reading_just_before_the_close_is_used(store):
    samples, results = Films(), []
    thread = start_round(store, samples, results=results, reader=Web(store, interval=0.3))
    (round_,) = store.rounds("films")
    for case in store.cases(round_.id):
        store.add(Reading(case=case.id, reader="Dr. Lee", verdict="focus", squares=(6,)))
    store.mark(round_, "closed")
    thread.join()
    assert set(samples.kept) == {0, 1, 2}
    assert results[0].state == "applied"


def read_all(cases):
    """A simulated reader."""
    for case in cases:
        yield Reading(case=case.id, reader="program", verdict="focus", squares=(1,))


def test_the_simulated_reader_reads_when_nobody_opens_the_page(store):
    lines, samples, results = [], Films(), []
    web = Web(store, interval=0.02, fallback=read_all, patience=0.1, say=lines.append)
    start_round(store, samples, results=results, reader=web).join()
    assert results[0].state == "applied"
    assert {one.reader for one in store.readings("films@70")} == {"program"}
    assert "Nobody opened the page" in lines[0]


def test_the_simulated_reader_does_not_read_when_the_page_is_open(store, address):
    samples, results = Films(), []
    web = Web(store, interval=0.02, fallback=read_all, patience=3600)
    thread = start_round(store, samples, results=results, reader=web)
    with visiting(address, link(store)) as lee:
        for case in (1, 2, 3):
            send(lee, case)
        lee.post("/api/rounds/70/finish", json={})
    thread.join()
    assert {one.reader for one in store.readings("films@70")} == {"Dr. Lee"}


def test_without_cases_there_is_no_reading(store):
    assert list(Web(store)([])) == []


def test_a_training_updates_its_heartbeat_while_it_is_busy(tmp_path, monkeypatch):
    monkeypatch.setattr("imil.store.run_progress.HEARTBEAT", 0.05)
    store = make_store(tmp_path)
    progress = Progress(store)
    progress.report("films", state="running", epoch=1, epochs=5)

    def heartbeat():
        with sqlite3.connect(store.path) as db:
            (value,) = db.execute("SELECT heartbeat FROM progress").fetchone()
        db.close()
        return value

    threads = threading.enumerate()
    with progress.alive("films"):
        start = now()
        while heartbeat() <= start:
            time.sleep(0.02)
        assert progress.training("films").state == "running"
    assert threading.enumerate() == threads, "the heartbeat goes on"
    store.close()


def test_concurrent_writes_are_each_stored_once_or_rejected_alone(tmp_path):
    store = make_store(tmp_path)
    good = [
        Reading(case="films@70#1", reader=f"r{i}", verdict="focus", squares=(6,)) for i in range(30)
    ]
    bad = [
        Reading(case="films@70#1", reader="bad", verdict="focus", squares=(99,)) for _ in range(10)
    ]
    start, rejected = threading.Barrier(40), []

    def write(reading):
        start.wait()
        try:
            store.add(reading)
        except SquareError:
            rejected.append(reading.id)

    threads = [threading.Thread(target=write, args=(one,)) for one in good + bad]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.id for one in store.readings("films@70")} == {one.id for one in good}
    assert len(rejected) == 10
    store.close()


def test_concurrent_writes_to_a_locked_store_all_fail_completely(tmp_path):
    make_store(tmp_path).close()
    store = Store(tmp_path / "imil.sqlite", patience=0.2)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    failed = []

    def write(i):
        reading = Reading(case="films@70#1", reader=f"r{i}", verdict="focus", squares=(6,))
        try:
            store.add(reading)
        except StoreBusy:
            failed.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.execute("ROLLBACK")
    other.close()
    assert sorted(failed) == [0, 1, 2, 3, 4]
    assert store.readings("films@70") == []
    store.close()
