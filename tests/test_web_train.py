"""`imil train --reader web`: a page beside the training, from the link to the last table."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest

from imil.phantom.dataset import write_phantoms
from imil.store import Store

IMIL = Path(sys.executable).with_name("imil")
SMALL = [
    *("--model", "test_resnet", "--image-size", "32", "--epochs", "3", "--batch-size", "16"),
    *("--lr", "0.05", "--imil-epoch", "2", "--num-outliers", "3", "--out", "run"),
]


STARTED, VISITORS = [], []


@pytest.fixture(autouse=True)
def _nothing_stays_behind():
    yield
    while VISITORS:
        VISITORS.pop().close()
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()


@pytest.fixture
def films(tmp_path):
    return write_phantoms(tmp_path / "films", n=40, size=48, seed=0)


def start(tmp_path, *words):
    """The running command, and a function that waits for a pattern in what it says."""
    with (tmp_path / "said").open("w") as log:
        process = subprocess.Popen(
            [IMIL, *map(str, words)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env=os.environ | {"IMIL_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"},
        )
    STARTED.append(process)

    def wait_for(pattern):
        end = time.monotonic() + 120
        while not (found := re.search(pattern, (tmp_path / "said").read_text())):
            assert time.monotonic() < end, (tmp_path / "said").read_text()
            assert process.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.2)
        return found

    return process, wait_for


def enter(link):
    """A reader's browser, as far as HTTP goes."""
    address = link.partition("/in/")[0]
    visitor = httpx.Client(base_url=address, headers={"Origin": address}, follow_redirects=True)
    VISITORS.append(visitor)
    assert visitor.get(link).status_code == 200
    return visitor


def open_round(visitor):
    """The round, once the training has opened one."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        rounds = [r for r in visitor.get("/api/session").json()["rounds"] if r["state"] == "open"]
        if rounds:
            return visitor.get(f"/api/rounds/{rounds[0]['id']}").json()
        time.sleep(0.2)
    raise AssertionError("no round was opened")


def read(visitor, held, number, squares):
    path = f"/api/rounds/{held['id']}/cases/{number}/readings/{uuid.uuid4().hex}"
    body = {"verdict": "focus", "squares": squares, "squaresBefore": None}
    answer = visitor.put(path, json=body | {"reason": "", "seconds": 1.5})
    assert answer.status_code == 200, answer.text


def test_a_page_beside_the_training_answers_its_round(films, tmp_path):
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    visitor = enter(wait_for(r"Read here: +(\S+)")[1])
    held = open_round(visitor)
    for case in held["cases"]:
        read(visitor, held, case["number"], [6, 7])
    read(visitor, held, 1, [10])  # a changed mind, before the round is finished
    assert visitor.post(f"/api/rounds/{held['id']}/finish", json={}).status_code == 200
    assert process.wait(120) == 0
    assert "at the end" in (tmp_path / "said").read_text()
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    standing = store.newest_readings(store.rounds()[0].id)
    assert sorted(r.squares for r in standing.values()) == [(6, 7), (6, 7), (10,)]


@pytest.mark.skipif(
    not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(),
    reason="finds the room's process in /proc, which Linux has and this system has not",
)
def test_a_reading_room_that_dies_is_back_before_the_reader_is_through(films, tmp_path):
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    visitor = enter(wait_for(r"Read here: +(\S+)")[1])
    held = open_round(visitor)
    read(visitor, held, 1, [6])
    listening = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (room,) = (pid for pid in listening if "imil.web.child_server" in _command_line(pid))
    os.kill(int(room), signal.SIGKILL)
    wait_for(r"The reading room had ended \(exit code -9\) and runs again at")
    for number in (2, 3):  # by the same link, at the same address
        read(visitor, held, number, [7])
    assert visitor.post(f"/api/rounds/{held['id']}/finish", json={}).status_code == 200
    assert process.wait(120) == 0
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    standing = store.newest_readings(store.rounds()[0].id)
    assert sorted(r.squares for r in standing.values()) == [(6,), (7,), (7,)]


def _command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")


def test_the_training_can_die_while_someone_reads_and_nothing_is_lost(films, tmp_path):
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    link = wait_for(r"Read here: +(\S+)")[1]
    visitor = enter(link)
    held = open_round(visitor)
    read(visitor, held, 1, [5])
    process.send_signal(signal.SIGKILL)
    process.wait()
    # the page goes on without the training, then the training goes on with what it finds
    room, wait_for = start(tmp_path, "serve", "run", "--port", "0")
    address = wait_for(r"(http://\S+)/in/\S+")[1]
    visitor = enter(f"{address}/in/{link.rpartition('/')[2]}")  # the link still opens
    held = open_round(visitor)
    for case in held["cases"]:
        read(visitor, held, case["number"], [6])
    assert visitor.post(f"/api/rounds/{held['id']}/finish", json={}).status_code == 200
    room.send_signal(signal.SIGINT)
    room.wait(30)
    resumed, _ = start(tmp_path, "resume", "run")
    assert resumed.wait(120) == 0
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    squares = [r.squares for r in store.readings(store.rounds()[0].id)]
    assert squares == [(5,), (6,), (6,), (6,)]
