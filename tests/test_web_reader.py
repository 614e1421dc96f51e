"""The reader at a page, as a round sees it: the store is all that lies between them."""

import sqlite3
import threading
import time

import numpy as np
import pytest
from rooms import NAMES, link, make_store, reading, send, serving, visiting

from imil.cases import Kept, Reading, RoundSettings
from imil.errors import SquareError, StoreBusy
from imil.grid import Grid
from imil.predictions import Predictions
from imil.readers.web_page import Web
from imil.rounds import run_round
from imil.store import Store
from imil.store.clock import now
from imil.store.run_progress import Progress


class Films:
    """Four films of class 1 that the model takes for class 0."""

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


class Wrong:
    """A model that is sure of class 0; of the first film most."""

    def predict(self, samples):
        sure = np.linspace(0.9, 0.6, len(samples))
        return Predictions.of(samples, np.stack([sure, 1 - sure], axis=1))

    def explain(self, samples, indices, classes):
        return [np.zeros((4, 4), np.float32) for _ in indices]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "imil.sqlite")
    made.add_run("films", class_names=NAMES, settings={}, versions={})
    yield made
    made.close()


@pytest.fixture
def address(store):
    with serving(store.path) as where:
        yield where


def ask(store, samples, *, reader=None, into):
    """Hold the round in a thread, as the training does, and put what comes out into `into`."""

    def hold():
        web = reader or Web(store, interval=0.02)
        settings = RoundSettings(num_outliers=3, grid=Grid(4, 4))
        into.append(
            run_round(Wrong(), samples, web, store, run="films", epoch=70, settings=settings)
        )

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not store.rounds("films") and time.monotonic() < until:
        time.sleep(0.01)
    return thread


def test_a_round_ends_when_the_page_finishes_it_and_the_corrections_are_made(store, address):
    samples, ended = Films(), []
    thread = ask(store, samples, into=ended)
    with visiting(address, link(store)) as lee:
        send(lee, 1, reading([6, 7]))
        send(lee, 2, reading([], "skip"))
        send(lee, 3, reading([1]))
        time.sleep(0.2)
        assert thread.is_alive(), "all cases are read, but readings may still be changed"
        send(lee, 3, reading([16]))
        lee.post("/api/rounds/70/finish", json={})
    thread.join(10)
    assert ended[0].state == "applied"
    assert samples.kept == {0: Kept(Grid(4, 4), (6, 7)), 2: Kept(Grid(4, 4), (16,))}
    assert len(store.readings("films@70")) == 4, "each reading is stored once"


def test_the_owner_can_end_a_round_and_the_unread_cases_count_as_skipped(store, address):
    samples, ended = Films(), []
    thread = ask(store, samples, into=ended)
    with visiting(address, link(store)) as lee:
        send(lee, 2, reading([5]))
    with visiting(address, link(store, "owner", kind="owner")) as owner:
        owner.post("/api/rounds/70/close", json={})
    thread.join(10)
    assert ended[0].state == "applied"
    assert samples.kept == {1: Kept(Grid(4, 4), (5,))}


def test_interrupting_leaves_the_round_open_and_everything_in_the_store(store, address):
    class Interrupted:
        def __call__(self, cases):
            for one in Web(store, interval=0.02)(cases):
                yield one
                raise KeyboardInterrupt

    samples = Films()
    with visiting(address, link(store)) as lee:
        rounds = []

        def read():
            while not store.rounds("films"):
                time.sleep(0.01)
            rounds.append(send(lee, 1, reading([6])).status_code)

        page = threading.Thread(target=read)
        page.start()
        settings = RoundSettings(num_outliers=3)
        with pytest.raises(KeyboardInterrupt):
            run_round(
                Wrong(), samples, Interrupted(), store, run="films", epoch=70, settings=settings
            )
        page.join(10)
        assert rounds == [200]
        assert store.rounds("films")[0].state == "open"
        assert samples.kept == {}
        send(lee, 2), send(lee, 3)
        ended = []
        thread = ask(store, samples, into=ended)  # the training is back
        lee.post("/api/rounds/70/finish", json={})
        thread.join(10)
    assert ended[0].state == "applied"
    assert set(samples.kept) == {0, 1, 2}


def test_a_reading_that_comes_just_before_the_close_is_not_missed(store):
    samples, ended = Films(), []
    thread = ask(store, samples, into=ended, reader=Web(store, interval=0.3))
    (round_,) = store.rounds("films")
    for case in store.cases(round_.id):
        store.add(Reading(case=case.id, reader="Dr. Lee", verdict="focus", squares=(6,)))
    store.mark(round_, "closed")
    thread.join(10)
    assert set(samples.kept) == {0, 1, 2}
    assert ended[0].state == "applied"


def everything(cases):
    """A program that reads."""
    for case in cases:
        yield Reading(case=case.id, reader="program", verdict="focus", squares=(1,))


def test_a_program_answers_when_nobody_opens_the_page(store):
    said, samples, ended = [], Films(), []
    web = Web(store, interval=0.02, otherwise=everything, patience=0.1, say=said.append)
    ask(store, samples, into=ended, reader=web).join(10)
    assert ended[0].state == "applied"
    assert {one.reader for one in store.readings("films@70")} == {"program"}
    assert "Nobody opened the page" in said[0]


def test_no_program_answers_for_a_reader_who_is_there(store, address):
    samples, ended = Films(), []
    web = Web(store, interval=0.02, otherwise=everything, patience=20)
    thread = ask(store, samples, into=ended, reader=web)
    with visiting(address, link(store)) as lee:
        for case in (1, 2, 3):
            send(lee, case)
        lee.post("/api/rounds/70/finish", json={})
    thread.join(10)
    assert {one.reader for one in store.readings("films@70")} == {"Dr. Lee"}


def test_no_case_no_reading(store):
    assert list(Web(store)([])) == []


def test_a_training_gives_signs_of_life_while_it_is_busy(tmp_path, monkeypatch):
    monkeypatch.setattr("imil.store.run_progress.HEARTBEAT", 0.05)
    store = make_store(tmp_path)
    progress = Progress(store)
    progress.report("films", state="running", epoch=1, epochs=5)

    def beaten():
        with sqlite3.connect(store.path) as db:
            (found,) = db.execute("SELECT heartbeat FROM progress").fetchone()
        db.close()
        return found

    with progress.alive("films"):
        began = now()
        until = time.monotonic() + 10
        while beaten() <= began and time.monotonic() < until:
            time.sleep(0.02)
        assert beaten() > began
        assert progress.training("films").state == "running"
    last = beaten()
    time.sleep(0.2)
    assert beaten() == last
    store.close()


def test_writes_of_many_threads_are_each_stored_once_or_refused_alone(tmp_path):
    store = make_store(tmp_path)
    good = [
        Reading(case="films@70#1", reader=f"r{i}", verdict="focus", squares=(6,)) for i in range(30)
    ]
    bad = [
        Reading(case="films@70#1", reader="bad", verdict="focus", squares=(99,)) for _ in range(10)
    ]
    start, refused = threading.Barrier(40), []

    def write(reading):
        start.wait()
        try:
            store.add(reading)
        except SquareError:
            refused.append(reading.id)

    threads = [threading.Thread(target=write, args=(one,)) for one in good + bad]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.id for one in store.readings("films@70")} == {one.id for one in good}
    assert len(refused) == 10
    store.close()


def test_writes_that_meet_a_locked_store_all_fail_and_nothing_is_half_stored(tmp_path):
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
