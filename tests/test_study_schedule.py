"""The order of jobs, what is left to do, and the time that it will take."""

from concurrent.futures import Future
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from imil.study.jobs import runner
from imil.study.jobs.runner import StudyRun
from imil.study.jobs.schedule import Queue, entries
from imil.study.jobs.status import time_left
from imil.study.jobs.workers import Workers
from imil.study.plan import make_plan
from imil.study.study_folder import StudyFolder

ARMS = ["baseline", "mixup", "imil", "imil-random", "upweight"]


@pytest.fixture
def study(tmp_path):
    """A study of which nothing is done: its folder and its plan, of 10 + 10 + 3·3 epochs."""
    values = {"name": "A", "data": "films.csv", "arms": ARMS, "readers": [{"name": "A"}]}
    training = {"epochs": 10, "imil_epoch": 7}
    return StudyFolder(tmp_path / "s"), make_plan(values | {"training": training}, base=tmp_path)


def names(some):
    return [one.arm.id for one in some]


def test_a_control_waits_for_the_readings_of_its_arm(study):
    folder, plan = study
    queue = Queue(entries(plan, folder), ())
    baseline, _ = queue.ready()
    queue.take(baseline)
    assert queue.end(baseline, "done") == []
    assert names(queue.ready()) == ["mixup", "imil"]
    _, imil = queue.ready()
    queue.take(imil)
    assert queue.end(imil, "done") == []
    assert names(queue.ready()) == ["mixup", "imil-random", "upweight"]


def test_jobs_that_need_a_failed_job_are_blocked_and_the_others_are_ready(study):
    folder, plan = study
    queue = Queue(entries(plan, folder), ())
    baseline, mixup = queue.ready()
    queue.take(baseline)
    assert sorted(names(queue.end(baseline, "failed"))) == ["imil", "imil-random", "upweight"]
    assert queue.ready() == [mixup]
    assert queue.left == 1


def test_a_finished_job_that_has_not_predicted_a_new_external_set_is_left_to_do(study):
    folder, plan = study
    for one in entries(plan, folder):
        one.job.mark("done", seconds=1)
    seen = folder.job("mixup", 0, 0).run.predictions("end", "external-else")
    seen.parent.mkdir(parents=True)
    seen.touch()
    assert Queue(entries(plan, folder), ()).left == 0
    left = [one for one in entries(plan, folder) if not one.is_done(["external-else"])]
    assert names(left) == ["baseline", "imil", "imil-random", "upweight"]
    queue = Queue(entries(plan, folder), ["external-else"])
    assert queue.left == 4
    assert names(queue.ready()) == ["baseline"]


def test_the_time_left_is_that_of_the_epochs_left_at_the_pace_of_the_jobs_done(study):
    folder, plan = study
    assert time_left(plan, folder) is None
    folder.job("baseline", 0, 0).mark("done", seconds=50.0)
    for arm, epochs in (("mixup", 2), ("imil", 8)):  # of IMIL's, 7 are the baseline's
        job = folder.job(arm, 0, 0)
        job.mark("running", seconds=7.0)
        pd.DataFrame({"epoch": range(epochs)}).to_csv(job.run.history)
    assert time_left(plan, folder) == pytest.approx(5 * (8 + 2 + 3 + 3))


def test_each_finished_job_is_reported_with_the_estimated_time_left(study, monkeypatch):
    folder, plan = study
    folder.job("mixup", 0, 0).mark("done", seconds=900.0)  # earlier: no part of the pace
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def submit(task):
        clock.now += 40
        folder.job(task.arm, task.seed, task.split).mark("done", seconds=40.0)
        done = Future()
        done.set_result("")
        return done

    console = Console(width=200)
    with console.capture() as captured:
        StudyRun(folder, plan, folder.path, 1, console).run(Workers(submit, 1))
    assert captured.get().splitlines() == [
        "To do: 4 of 5 trainings, 19 epochs, 1 at a time.",
        "2 of 5: baseline, seed 0, split 0 done in 40 s; about 36 s left",  # 9 epochs at 4 s
        "3 of 5: imil, seed 0, split 0 done in 40 s; about 37 s left",  # 6 at 80 s / 13
        "4 of 5: imil-random, seed 0, split 0 done in 40 s; about 22 s left",  # 3 at 120 s / 16
        "5 of 5: upweight, seed 0, split 0 done in 40 s",
    ]
