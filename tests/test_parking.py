"""Trainings that end while readers read, and go on as if they had waited."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from parked_runs import (
    answer,
    answered_room,
    contents,
    newest,
    open_days_ago,
    opened,
    read,
    squares_of,
    start,
)
from processes import begin
from rooms import link, reading, send, serving, visiting
from safetensors.torch import load_file
from torch import nn

from imil.cases import RoundSettings
from imil.cli.exit_codes import errors_as_exit_codes
from imil.durations import duration_seconds
from imil.errors import RoundParked, RoundUnanswered, SettingsError
from imil.parking import LONGEST, wait_until_answered
from imil.phantom.dataset import draw, write_phantoms
from imil.pytorch import IMIL, CorrectedDataset
from imil.readers.parked import Parked
from imil.readers.web_page import Web
from imil.round_settings import check_rounds
from imil.settings import resolve
from imil.store import Store, audit
from imil.store.clock import now
from imil.store.run_progress import Progress
from imil.training.launch import resume_run


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=40, size=48, seed=0)


@pytest.fixture(scope="module")
def parked(films, tmp_path_factory):
    """A run that is parked at its first round, with a deadline; to be copied."""
    folder = tmp_path_factory.mktemp("parked") / "run"
    with pytest.raises(RoundParked, match="after epoch 2 is open and waits for a first reader"):
        start(films, folder, wait="park", deadline="48h")
    return folder


@pytest.fixture
def run(parked, tmp_path):
    """A copy of that run, in another place."""
    return shutil.copytree(parked, tmp_path / "run")


def go_on(folder, films, **changes):
    return resume_run(folder, None, films.parent / "cache", **changes)


def assert_same_results(folder, other):
    """Both runs have the same weights, predictions, history and metrics."""
    weights, expected = (load_file(one / "model.safetensors") for one in (folder, other))
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)
    tables = sorted(path.relative_to(other) for path in other.rglob("*.parquet"))
    assert len(tables) == 6
    for path in tables:
        pd.testing.assert_frame_equal(
            pd.read_parquet(folder / path), pd.read_parquet(other / path), check_exact=True
        )
    for name in ("history.csv", "metrics.json"):
        assert (folder / name).read_text() == (other / name).read_text(), name


def test_a_parked_run_ends_bit_for_bit_as_one_that_waited(films, run, tmp_path):
    start(films, tmp_path / "waited" / "run")
    with opened(run) as store, serving(store.path) as address:
        with visiting(address, link(store, run="run")) as page:
            for case in store.cases(newest(store).id):
                answered = send(page, case.number, reading(squares_of(case), seconds=2.0), epoch=2)
                assert answered.status_code == 200, answered.text
            assert page.post("/api/rounds/2/finish", json={}).json()["state"] == "closed"
    with pytest.raises(RoundParked, match="after epoch 4"):
        go_on(run, films)
    elsewhere = tmp_path / "another machine" / "run"
    elsewhere.parent.mkdir()
    shutil.move(run, elsewhere)
    with opened(elsewhere) as store:
        answer(store)
    assert go_on(elsewhere, films) is not None
    assert_same_results(elsewhere, tmp_path / "waited" / "run")


def test_a_round_that_is_not_answered_is_not_taken_up_and_nothing_changes(films, run):
    with opened(run) as store:
        link(store, run="run", name="Dr. Lee")
        read(store, store.cases(newest(store).id)[0])
    before = contents(run)
    with pytest.raises(RoundUnanswered, match=r"waits for Dr\. Lee \(1 of 3 cases read\)"):
        go_on(run, films)
    assert contents(run) == before
    with opened(run) as store:
        assert newest(store).state == "open"
        assert Progress(store).training("run").state == "parked"


def test_the_exit_codes_tell_a_scheduler_whether_to_try_again():
    for error, code in ((RoundParked("it is"), 0), (RoundUnanswered("it is"), 75)):
        with pytest.raises(SystemExit) as ended, errors_as_exit_codes():
            raise error
        assert ended.value.code == code


def test_a_training_that_parks_says_how_to_go_on(films, tmp_path, capsys):
    folder = tmp_path / "my run"
    with pytest.raises(RoundParked):
        start(films, folder, wait="park", epochs=3, imil_epoch=2)
    output = capsys.readouterr().out
    for words in ("imil serve", "imil resume", "imil watch"):
        assert f"{words} '{folder}'" in output


def test_a_parked_round_can_be_waited_for_in_training_instead(films, run, monkeypatch):
    monkeypatch.setattr("imil.training.launch.reading_room", answered_room)
    assert go_on(run, films, wait="here") is not None


def test_a_loop_of_ones_own_parks_and_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    images = [(draw(i % 2, rng, size=64).image, i % 2) for i in range(8)]
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(1, 4, 9, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    model = nn.Sequential(features, nn.Flatten(), nn.Linear(4, 2))
    store = Store(tmp_path / "imil.sqlite")

    def callback(samples):
        options = {"store": store, "imil_epoch": 1, "num_outliers": 2, "say": lambda _line: None}
        return IMIL(samples, model, Parked(store), **options)

    with pytest.raises(RoundParked, match="waits for a first reader"):
        callback(CorrectedDataset(images)).after_epoch(1)
    with pytest.raises(RoundParked, match="waits for a first reader"):
        callback(CorrectedDataset(images)).restore(1)
    answer(store)
    samples = CorrectedDataset(images)
    round_ = callback(samples).restore(1)
    assert round_.state == "applied"
    assert len(samples.corrections.positions()) == round_.cases > 0


# ---- watching -------------------------------------------------------------------------------


def test_watching_waits_longer_and_longer_until_the_round_is_answered(run):
    pauses, lines = [], []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            with opened(run) as store:
                answer(store)

    assert wait_until_answered(run, lines.append, sleep=sleep)
    assert len(pauses) == 20
    assert pauses == sorted(pauses)
    assert pauses[0] < 1 < pauses[-1] <= LONGEST
    assert len(lines) == 1
    assert "waits for a first reader" in lines[0]
    assert "It closes at" in lines[0]


def test_waiting_loads_no_framework():
    script = (
        "import sys\nimport imil.parking\n"
        "print({'torch', 'pandas', 'timm', 'fastapi'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_watching_that_is_interrupted_leaves_everything_as_it_was(run):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    before = contents(run)
    with pytest.raises(KeyboardInterrupt):
        wait_until_answered(run, print, sleep=interrupt)
    assert contents(run) == before


def test_watching_ends_at_the_deadline_and_not_long_after_it(run):
    with opened(run) as store:
        open_days_ago(store, 2 - 5 / 86_400)  # five seconds are left
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if sum(pauses) > 4:
            with opened(run) as store:
                open_days_ago(store, 3)

    assert wait_until_answered(run, print, sleep=sleep)
    assert max(pauses) <= 5


def test_watch_goes_from_round_to_round_to_the_end_of_the_run(films, run, tmp_path):
    cache = {"IMIL_CACHE": str(films.parent / "cache")}
    process = begin(["watch", run], tmp_path, tmp_path / "output", **cache)
    with opened(run) as store:
        answer(store)
        while len(store.rounds()) < 2 or store.rounds()[-1].state != "open":
            process.join(0.2)
            assert process.exitcode is None, (tmp_path / "output").read_text()
        answer(store)
    process.join()
    output = (tmp_path / "output").read_text()
    assert process.exitcode == 0, output
    assert (run / "metrics.json").exists()
    assert "after epoch 4 is open" in output


def test_what_cannot_be_watched_is_refused_in_a_sentence(films, tmp_path, run):
    with pytest.raises(SettingsError, match="there is no run in"):
        wait_until_answered(tmp_path / "nowhere", print)
    config = run / "config.toml"
    config.write_text(config.read_text().replace('wait = "park"', 'wait = "here"'))
    with pytest.raises(SettingsError, match="is not a parked run"):
        wait_until_answered(run, print)
    (run / "metrics.json").write_text("{}")
    lines = []
    assert not wait_until_answered(run, lines.append)
    assert "is finished" in lines[0]


# ---- deadlines ------------------------------------------------------------------------------


def test_at_its_deadline_a_round_goes_on_with_the_readings_that_are_there(films, run, capsys):
    with opened(run) as store:
        link(store, run="run", name="Dr. Lee")
        first = store.cases(newest(store).id)[0]
        read(store, first)
        open_days_ago(store, 3)
    with pytest.raises(RoundParked, match="after epoch 4"):
        go_on(run, films)
    with opened(run) as store:
        round_ = store.rounds()[0]
        assert round_.state == "applied"
        details = [one.detail for one in audit.newest(store, "run") if one.what == "close"]
        current = store.current_readings(round_.id)
    assert [one.squares for one in current.values()] == [squares_of(first)]
    (detail,) = details
    assert "its deadline of 48h has passed, 1 of 3 cases read; not finished: Dr. Lee" in detail
    said = " ".join(capsys.readouterr().out.split())
    assert "has passed: 1 of 3 cases are read; the other 2 stay as they were." in said


def test_a_round_without_a_reading_at_its_deadline_changes_nothing(films, run, tmp_path, capsys):
    with opened(run) as store:
        open_days_ago(store, 3)
    with pytest.raises(RoundParked, match="after epoch 4"):
        go_on(run, films)
    with opened(run) as store:
        open_days_ago(store, 3)
    go_on(run, films)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("has passed without a reading: training goes on without corrections.") == 2
    start(films, tmp_path / "none", reader="none")
    weights = [load_file(one / "model.safetensors") for one in (run, tmp_path / "none")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_page_closes_a_round_at_its_deadline_and_takes_no_reading_after_it(run):
    with opened(run) as store, serving(store.path) as address:
        secrets = [link(store, run="run"), link(store, run="run", name="lead", kind="owner")]
        with visiting(address, secrets[0]) as page, visiting(address, secrets[1]) as lead:
            (shown,) = lead.get("/api/lobby").json()["rounds"]
            assert shown["closes"] == newest(store).closes > now()
            assert page.get("/api/session").json()["rounds"][0]["closes"] == shown["closes"]
            assert send(page, 1, epoch=2).status_code == 200
            open_days_ago(store, 3)
            assert send(page, 2, epoch=2).status_code == 409
            (shown,) = page.get("/api/session").json()["rounds"]
            assert (shown["state"], shown["closes"]) == ("closed", None)
            assert lead.post("/api/rounds/2/reopen", json={}).json()["state"] == "open"
            assert send(page, 2, epoch=2).status_code == 200  # the deadline counts from then
            assert newest(store).closes > now()


def test_a_reader_that_is_waited_for_is_not_waited_for_after_the_deadline(run):
    with opened(run) as store:
        link(store, run="run", name="Dr. Lee")
        cases = store.cases(newest(store).id)
        read(store, cases[0])
        open_days_ago(store, 3)
        assert [one.case for one in Web(store)(cases)] == [cases[0].id]
        assert newest(store).state == "closed"


@pytest.mark.parametrize("text", ["0h", "", "48", "h", "-1h", "1.5h", "366d", "soon", "48 h", 48])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(SettingsError, match="such as 30m, 48h or 7d"):
        duration_seconds(text)
    with pytest.raises(SettingsError, match="such as 30m, 48h or 7d"):
        RoundSettings(deadline=text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"wait": "park", "reader": "console"}, "--wait park leaves a round to people"),
        ({"wait": "live", "reader": "simulated"}, "--wait live leaves a round to people"),
        ({"wait": "park", "reader": "none"}, "--wait park leaves a round to people"),
        ({"deadline": "48h", "reader": "console"}, "--deadline 48h is for people"),
    ],
)
def test_settings_that_need_a_page_are_refused_without_one(given, message):
    with pytest.raises(SettingsError, match=message):
        check_rounds(resolve({"data": "films.csv"} | given))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"fusion": "soft"}, "--fusion soft"),
        ({"flagged": "remove"}, "--flagged remove"),
        ({"devices": 2}, "2 devices"),
    ],
)
def test_what_cannot_be_taken_up_before_a_batch_is_refused(given, what):
    live = {"data": "films.csv", "reader": "web", "wait": "live"}
    check_rounds(resolve(live))
    with pytest.raises(SettingsError, match=f"--wait live takes up each reading .* {what} does"):
        check_rounds(resolve(live | given))


def test_a_deadline_in_the_settings_is_checked(films):
    with pytest.raises(SettingsError, match="invalid deadline 'tomorrow'"):
        resolve({"data": "films.csv", "reader": "web", "deadline": "tomorrow"})
