"""`imil train --reader web`: a reading room during training, from the link to the results."""

import os
import re
import signal
import time
import uuid
from pathlib import Path

import httpx
import pytest
from processes import begin
from terminals import Terminal

from imil.phantom.dataset import write_phantoms
from imil.store import Store
from imil.store.invitations import invitations

SMALL = [
    *("--model", "test_resnet", "--image-size", "32", "--epochs", "3", "--batch-size", "16"),
    *("--lr", "0.05", "--imil-epoch", "2", "--num-outliers", "3", "--out", "run"),
]


STARTED, VISITORS = [], []


@pytest.fixture(autouse=True)
def _stop_processes():
    yield
    while VISITORS:
        VISITORS.pop().close()
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.join()


@pytest.fixture
def films(tmp_path):
    return write_phantoms(tmp_path / "films", n=40, size=48, seed=0)


def start(tmp_path, *words):
    """The running command, and a function that waits for a pattern in its output."""
    (tmp_path / "output").write_text("")
    cache = str(tmp_path / "cache")
    process = begin(words, tmp_path, tmp_path / "output", IMIL_CACHE=cache, COLUMNS="200")
    STARTED.append(process)

    def wait_for(pattern):
        while not (match := re.search(pattern, (tmp_path / "output").read_text())):
            assert process.exitcode is None, (tmp_path / "output").read_text()
            time.sleep(0.2)
        return match

    return process, wait_for


def code(process):
    """The exit code, once it has ended."""
    process.join()
    return process.exitcode


def enter(link, cookies=None):
    """An HTTP client that has opened the link; with cookies, one that has opened it before."""
    address = link.partition("/in/")[0]
    options = {"headers": {"Origin": address}, "follow_redirects": True, "timeout": 60}
    visitor = httpx.Client(base_url=address, cookies=cookies, **options)
    VISITORS.append(visitor)
    assert visitor.post(link).status_code == 200
    return visitor


def open_round(visitor):
    """The round, as soon as the training has opened one."""
    while True:
        session = visitor.get("/api/session").json()
        rounds = [one for one in session["rounds"] if one["state"] == "open"]
        if rounds:
            return visitor.get(f"/api/rounds/{rounds[0]['id']}").json()
        assert session["training"]["state"] != "finished", "no round was opened"
        time.sleep(0.2)


def read(visitor, round_, number, squares):
    path = f"/api/rounds/{round_['id']}/cases/{number}/readings/{uuid.uuid4().hex}"
    body = {"verdict": "focus", "squares": squares, "squaresBefore": None}
    answer = visitor.put(path, json=body | {"reason": "", "seconds": 1.5})
    assert answer.status_code == 200, answer.text


def test_readings_of_the_page_are_used_by_the_training(films, tmp_path):
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    visitor = enter(wait_for(r"Read here: +(\S+)")[1])
    round_ = open_round(visitor)
    for case in round_["cases"]:
        read(visitor, round_, case["number"], [6, 7])
    read(visitor, round_, 1, [10])  # changed before the round is finished
    assert visitor.post(f"/api/rounds/{round_['id']}/finish", json={}).status_code == 200
    assert code(process) == 0
    assert "at the end" in (tmp_path / "output").read_text()
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    standing = store.current_readings(store.rounds()[0].id)
    assert sorted(r.squares for r in standing.values()) == [(6, 7), (6, 7), (10,)]


@pytest.mark.skipif(
    not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(),
    reason="finds the server process in /proc, which this system does not have",
)
def test_a_killed_server_process_is_restarted_during_the_round(films, tmp_path):
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    visitor = enter(wait_for(r"Read here: +(\S+)")[1])
    round_ = open_round(visitor)
    read(visitor, round_, 1, [6])
    listening = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (room,) = (pid for pid in listening if "imil.web.child_server" in _command_line(pid))
    os.kill(int(room), signal.SIGKILL)
    wait_for(r"The reading room had ended \(exit code -9\) and was restarted at")
    for number in (2, 3):  # with the same link and address
        read(visitor, round_, number, [7])
    assert visitor.post(f"/api/rounds/{round_['id']}/finish", json={}).status_code == 200
    assert code(process) == 0
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    standing = store.current_readings(store.rounds()[0].id)
    assert sorted(r.squares for r in standing.values()) == [(6,), (7,), (7,)]


def _command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_waits_for_readers_ends_at_a_signal_and_keeps_its_round(
    films, tmp_path, number
):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as below nohup")
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    visitor = enter(wait_for(r"Read here: +(\S+)")[1])
    round_ = open_round(visitor)
    read(visitor, round_, 1, [6])
    os.kill(process.pid, number)
    assert code(process) == 75
    output = (tmp_path / "output").read_text()
    assert f"Stopped by {number.name}; the run can be resumed." in output
    assert output.strip().endswith("Continue with: imil resume run")
    assert "Traceback" not in output
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    assert store.rounds()[0].state == "open"
    links = {one.kind: one.good for one in invitations(store, "run")}
    assert links == {"owner": False, "reader": True}, "the owner's link ends with the server"


def test_a_console_whose_terminal_closes_ends_with_the_exit_code_that_resume_understands(
    films, tmp_path
):
    terminal = Terminal("train", films, *SMALL, "--reader", "console", cwd=tmp_path)
    terminal.wait_for("squares 1-16> ")
    terminal.type("6")
    terminal.wait_for("because> ")
    terminal.type("")
    terminal.wait_for("squares 1-16> ")
    os.close(terminal.fd)  # SIGHUP, and nothing can be written any more
    terminal.process.join()
    assert terminal.process.exitcode == 75
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    assert [one.squares for one in store.readings(store.rounds()[0].id)] == [(6,)]


def test_a_training_killed_during_a_round_loses_no_reading(films, tmp_path):
    process, wait_for = start(tmp_path, "train", films, *SMALL, "--reader", "web")
    link = wait_for(r"Read here: +(\S+)")[1]
    visitor = enter(link)
    round_ = open_round(visitor)
    read(visitor, round_, 1, [5])
    process.kill()
    process.join()
    # the round is read without the training, which is then resumed
    room, wait_for = start(tmp_path, "serve", "run", "--port", "0")
    address = wait_for(r"(http://\S+)/in/\S+")[1]
    link = f"{address}/in/{link.rpartition('/')[2]}"  # still valid in the same browser
    visitor = enter(link, visitor.cookies)
    round_ = open_round(visitor)
    for case in round_["cases"]:
        read(visitor, round_, case["number"], [6])
    assert visitor.post(f"/api/rounds/{round_['id']}/finish", json={}).status_code == 200
    os.kill(room.pid, signal.SIGINT)
    room.join()
    resumed, _ = start(tmp_path, "resume", "run")
    assert code(resumed) == 0
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    squares = [r.squares for r in store.readings(store.rounds()[0].id)]
    assert squares == [(5,), (6,), (6,), (6,)]
