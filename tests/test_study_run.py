"""Running a study: forks, controls, what is done once, and what happens when things fail."""

import json
import re
import shutil
import sys
from collections import Counter
from io import StringIO
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import processes
import pytest
import torch
from processes import command, start
from rich.console import Console
from safetensors.torch import load_file
from terminals import Terminal

from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.pytorch import TorchModel
from imil.settings import load_config
from imil.store import Store
from imil.study.arms import CONTROLS, Arm
from imil.study.jobs.workers import ray_cluster
from imil.study.plan import read_plan
from imil.study.reading_records import sessions
from imil.study.study_folder import StudyFolder
from imil.training.classifier import EpochOrder
from imil.training.hardware.device import resolve_auto
from imil.training.run import Run
from imil.training.samples.prepared_data import prepare

ARMS = ["baseline", "mixup", "imil", *CONTROLS]
ALIKE = ("--threads", "1")  # as many in every training, or the last bits differ
PLAN = """
name = "small study"
data = "films/manifest.csv"
arms = {arms}
seeds = {seeds}

[training]
model = "test_resnet"
image-size = 32
epochs = 4
batch-size = 16
lr = 0.05
imil-epoch = 2
num-outliers = 4

[[readers]]
name = "A"
{more}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with films, in which studies are run."""
    folder = tmp_path_factory.mktemp("studies")
    write_phantoms(folder / "films", n=80, size=48, seed=3)
    return folder


def study(place, name, *, arms=ARMS, seeds=(0,), more="", words=()):
    """What `imil study run` said, and the study's folder."""
    plan = place / f"{name}.toml"
    plan.write_text(PLAN.format(arms=json.dumps(list(arms)), seeds=list(seeds), more=more))
    result = command(
        ["study", "run", plan, "--out", place / name, *ALIKE, "--cache", place / "cache", *words],
        place,
    )
    return result, StudyFolder(place / name)


@pytest.fixture
def unreported(monkeypatch):
    """Commands end without writing a report, which takes seconds."""
    monkeypatch.setattr(processes, "_command", _without_report)


def _without_report(*given):
    from imil.cli import study_command

    study_command._report = lambda _path: None
    processes._command(*given)


def weights(job):
    return load_file(job.run.weights)


def equal(one, other):
    return one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


@pytest.fixture(scope="module")
def whole(place):
    """A study that ran to its end."""
    result, folder = study(place, "whole")
    assert result.returncode == 0, result.stdout + result.stderr
    return result, folder


def test_a_study_ends_with_a_report_and_figures_of_its_own_jobs(whole):
    assert f"all {len(ARMS)} trainings are done" in whole[1].report.read_text("utf-8")
    drawn = {path.stem for path in whole[1].figures.glob("*.svg")}
    assert drawn == {"forest", "roc", "reliability", "curves", "heat-maps", "focus", "feedback"}


@pytest.mark.parametrize("arm", ["baseline", "imil-random"])
def test_heat_maps_are_of_the_true_class_and_two_of_each_are_kept(place, whole, arm):
    job = whole[1].job(arm, 0, 0)
    settings = read_plan(whole[1].plan).settings(Arm("baseline"), 0)
    data = prepare(settings, job.run, cache=place / "cache", progress=lambda _done, _of: None)
    run = Run(job.run, settings, data, Console(quiet=True))
    run.net.load_state_dict(weights(job))
    test, kept = job.predictions(), np.load(job.heat_maps)
    at = [test.keys.index(key) for key in kept]
    labels = test.labels[at].tolist()
    assert Counter(labels) == {0: 2, 1: 2}
    cams = TorchModel(run.module).explain(run.samples["test"], at, labels)
    for key, cam in zip(kept, cams, strict=True):
        assert np.allclose(cam, kept[key], atol=1e-5)
    assert set(pd.read_parquet(job.focus)["mask"]) == {"lesion_mask", "lung_mask"}


def readings(job):
    """Sample to the standing reading of the job's round, in the order of its cases."""
    store = Store(job.run.store, readonly=True)
    (held,) = store.rounds()
    standing = store.current_readings(held.id)
    result = {case.key: standing[case.id] for case in store.cases(held.id)}
    store.close()
    return result


def alone(place, out, reader):
    """A training of its own, as `imil train` does it, with one thread."""
    torch.set_num_threads(1)
    from imil.training.launch import new_run
    from imil.training.run_setup import set_up_run

    flags = {"data": str(place / "films/manifest.csv"), "model": "test_resnet", "image_size": 32}
    flags |= {"epochs": 4, "batch_size": 16, "lr": 0.05, "imil_epoch": 2, "num_outliers": 4}
    settings, folder = set_up_run(flags | {"reader": reader}, None, out)
    new_run(settings, folder, place / "cache")


@pytest.mark.parametrize(("arm", "reader"), [("baseline", "none"), ("imil", "simulated")])
def test_a_fork_equals_a_training_from_the_start_bit_for_bit(place, whole, arm, reader):
    out = place / f"alone-{arm}"
    assert start(alone, place, out, reader) == 0
    job = whole[1].job(arm, 0, 0)
    assert equal(load_file(out / "model.safetensors"), weights(job))
    predicted = (out / "predictions/end/test.parquet").read_bytes()
    assert predicted == job.run.predictions("end", "test").read_bytes()


def test_each_job_records_the_device_it_was_trained_on(whole):
    for arm in ARMS:
        job = whole[1].job(arm, 0, 0)
        config = load_config(job.run.config)
        here = resolve_auto(read_plan(whole[1].plan).settings(Arm("baseline"), 0))
        assert (config["device"], config["precision"]) == (here.device, here.precision)
        assert job.status["device"] == here.device
        assert job.status["precision"] == here.precision
        assert job.status["threads"] == 1


def test_shared_epochs_are_trained_once(whole):
    plan = read_plan(whole[1].plan)
    from imil.study.jobs.schedule import entries

    trained = {one.job.arm: one.epochs for one in entries(plan, whole[1])}
    assert trained == {"baseline": 4, "mixup": 4} | dict.fromkeys(ARMS[2:], 2)
    for arm in ARMS[2:]:
        before = whole[1].job(arm, 0, 0).predictions(when="epoch-002").probs
        assert (before == whole[1].job("baseline", 0, 0).predictions(when="epoch-002").probs).all()


def test_the_controls_have_the_same_cases(whole):
    theirs = readings(whole[1].job("imil", 0, 0))
    assert len(theirs) == 4
    for arm in ARMS[3:]:
        assert readings(whole[1].job(arm, 0, 0)).keys() == theirs.keys()


def test_the_random_control_selects_as_many_squares_and_the_inverted_one_the_others(whole):
    theirs = readings(whole[1].job("imil", 0, 0))
    random = readings(whole[1].job("imil-random", 0, 0))
    inverted = readings(whole[1].job("imil-inverted", 0, 0))
    assert any(random[key].squares != theirs[key].squares for key in theirs)
    for key, reading in theirs.items():
        assert len(random[key].squares) == len(reading.squares)
        assert set(inverted[key].squares) == set(range(1, 17)) - set(reading.squares)


def test_the_random_box_covers_one_box_and_is_cut_off_at_the_border(whole):
    for reading in readings(whole[1].job("cutout-same", 0, 0)).values():
        kept = np.zeros(64 * 64, bool)
        kept[np.asarray(reading.squares) - 1] = True
        rows, cols = np.nonzero(~kept.reshape(64, 64))
        box = (np.ptp(rows) + 1) * (np.ptp(cols) + 1)
        assert len(rows) == box
        inside = rows.min() > 0 and rows.max() < 63 and cols.min() > 0 and cols.max() < 63
        assert box == 14 * 14 if inside else box <= 14 * 14


def test_oversampled_images_are_drawn_five_times_as_often_and_epochs_keep_their_length():
    order = EpochOrder(100, seed=0)
    plain = list(order)
    order.oversample([], 5)
    assert list(order) == plain
    order.oversample([7, 8], 5)
    drawn = Counter()
    for epoch in range(2000):
        order.set_epoch(epoch)
        one = list(order)
        assert len(one) == 100
        drawn.update(one)
    # of 108 lots in the urn 100 are drawn: 0.926 each, 5 of them for a favoured image
    assert drawn[7] / 2000 == pytest.approx(5 * 100 / 108, rel=0.02)
    assert drawn[50] / 2000 == pytest.approx(100 / 108, rel=0.02)


def test_drawing_some_more_often_changes_the_training(whole):
    job = whole[1].job("upweight", 0, 0)
    assert not equal(weights(job), weights(whole[1].job("baseline", 0, 0)))
    assert {one.verdict for one in readings(job).values()} == {"skip"}


@pytest.mark.usefixtures("unreported")
def test_finished_jobs_are_not_repeated(place, whole):
    before = {p: p.stat().st_mtime_ns for p in whole[1].path.rglob("model.safetensors")}
    assert len(before) == len(ARMS)
    result, folder = study(place, "whole")
    assert result.returncode == 0, result.stderr
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("model.safetensors")} == before
    assert "seed 0" not in result.stdout


@pytest.mark.slow
def test_a_seed_and_an_external_set_can_be_added_later(place, whole):
    write_phantoms(place / "else", n=12, size=48, seed=4)
    shutil.copytree(whole[1].path, place / "grown")
    elsewhere = StudyFolder(place / "grown").job("mixup", 0, 0)  # trained there, tested on here
    elsewhere.mark("done", seconds=1.0, threads=8, device="cuda", precision="bf16")
    config = elsewhere.run.config.read_text()
    config = re.sub("(?m)^(device|precision) = .*$", "", config)
    elsewhere.run.config.write_text(config + 'device = "cuda"\nprecision = "bf16"\n')
    more = '[external.else]\ndata = "else/manifest.csv"'
    result, folder = study(place, "grown", arms=["baseline", "mixup"], seeds=[0, 1], more=more)
    assert result.returncode == 0, result.stdout + result.stderr
    for arm, seed in product(("baseline", "mixup"), (0, 1)):
        job = folder.job(arm, seed, 0)
        assert job.state == "done"
        assert job.sets() == ("test", "external-else")
        assert len(job.predictions("external-else")) == 12
    before, after = whole[1].job("mixup", 0, 0), folder.job("mixup", 0, 0)
    assert after.status["device"] == load_config(after.run.config)["device"] == "cuda"
    assert "Trainings differ in device or precision" in folder.report.read_text("utf-8")
    assert after.run.weights.stat().st_mtime_ns == before.run.weights.stat().st_mtime_ns
    with np.load(before.heat_maps) as one, np.load(after.heat_maps) as other:
        for key in one:  # drawn again, of the network that was trained then
            assert np.allclose(one[key], other[key], atol=1e-5)
    assert "External set else" in folder.report.read_text("utf-8")


def run_study_of(place, name, readers, arms=ARMS):
    """A copy of the finished study is run again with these readers."""
    shutil.copytree(StudyFolder(place / "whole").path, place / name)
    tables = "".join(f'[[readers]]\nname = "{one}"\nreader = "simulated"\n' for one in readers)
    text = PLAN.split("[[readers]]")[0].format(arms=json.dumps(arms), seeds=[0], more="") + tables
    (place / f"{name}.toml").write_text(text)
    words = ["study", "run", f"{name}.toml", "--out", name, *ALIKE, "--cache", "cache"]
    return command(words, place), StudyFolder(place / name)


def test_trainings_with_another_reader_are_refused(place, whole):
    result, _ = run_study_of(place, "renamed", ["B"])
    assert result.returncode == 2
    assert "was trained with reader-name A, but the plan has B" in result.stderr
    assert (place / "renamed/jobs/imil/seed-0-split-0/metrics.json").exists()


@pytest.mark.usefixtures("unreported")
def test_a_reader_can_be_added_and_nothing_is_trained_twice(place, whole):
    before = (whole[1].job("imil", 0, 0).run.weights).stat().st_mtime_ns
    result, folder = run_study_of(place, "joined", ["A", "B"], ["baseline", "imil", "imil-random"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert folder.job("imil.A", 0, 0).run.weights.stat().st_mtime_ns == before
    assert folder.job("imil.B", 0, 0).state == "done"
    assert not folder.arm("imil").exists()
    assert "imil.A, seed" not in result.stdout


@pytest.mark.usefixtures("unreported")
def test_imil_can_be_added_to_a_study_that_started_without_it(place, whole):
    result, folder = study(place, "rivals", arms=["baseline", "mixup"])
    assert result.returncode == 0, result.stderr
    assert not folder.job("mixup", 0, 0).run.at(2).exists()  # nothing goes on from it
    result, folder = study(place, "rivals", arms=["baseline", "mixup", "imil"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert equal(weights(folder.job("imil", 0, 0)), weights(whole[1].job("imil", 0, 0)))


def test_a_fork_starts_with_the_epochs_it_shares(place, whole):
    from imil.study.jobs.schedule import entries
    from imil.training.fork import fork_run

    shutil.copytree(whole[1].path, place / "forked")
    folder = StudyFolder(place / "forked")
    entry = next(e for e in entries(read_plan(folder.plan), folder) if e.job.arm == "imil")
    shutil.rmtree(entry.job.path)
    fork_run(folder.job("baseline", 0, 0).run, entry.job.run, 2)
    assert entry.epochs_done() == 0
    entry.job.run.last.rename(entry.job.run.last.with_name(".last.ckpt.half"))
    fork_run(folder.job("baseline", 0, 0).run, entry.job.run, 2)  # killed between link and rename
    assert entry.job.run.last.exists()


def test_a_study_with_other_settings_is_refused(place, whole):
    plan = (place / "whole.toml").read_text().replace("lr = 0.05", "lr = 0.01")
    (place / "other.toml").write_text(plan)
    result = command(["study", "run", place / "other.toml", "--out", whole[1].path], place)
    assert result.returncode == 2
    assert "another 'training'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("unreported")
def test_a_replay_without_any_of_the_cases_skips_all_and_trains_as_the_baseline(place, whole):
    before = whole[1].job("baseline", 0, 0).predictions("train", "epoch-002")
    right = before.probs.argmax(axis=1) == before.labels  # so it is not among the cases
    never_asked = before.keys[int(np.flatnonzero(right)[0])]
    (place / "others.csv").write_text(f"key,squares\n{never_asked},1 2\n")
    more = f'reader = "replay:{place / "others.csv"}"'
    result, folder = study(place, "elsewhere", arms=["baseline", "imil", "imil-random"], more=more)
    assert result.returncode == 0, result.stdout + result.stderr
    for arm in ("imil", "imil-random"):
        assert {one.verdict for one in readings(folder.job(arm, 0, 0)).values()} == {"skip"}
        assert equal(weights(folder.job(arm, 0, 0)), weights(folder.job("baseline", 0, 0)))
    (session,) = sessions(folder, read_plan(folder.plan))
    assert (len(session.answers), len(session.read)) == (4, 0)


@pytest.mark.usefixtures("unreported")
def test_a_failed_job_is_reported_and_the_others_are_done(place, whole):
    more = '[[readers]]\nname = "B"'
    trained = shutil.ignore_patterns("mixup", "imil*", "cutout*", "upweight")
    shutil.copytree(whole[1].path, place / "failing", ignore=trained)
    folder = StudyFolder(place / "failing")
    folder.job("imil.B", 0, 0).run.splits.mkdir(parents=True)  # where a file is to be written
    result, folder = study(place, "failing", arms=["baseline", "imil", "imil-random"], more=more)
    assert result.returncode == 1, result.stdout + result.stderr
    assert folder.job("imil.B", 0, 0).state == "failed"
    assert "Failed: imil.B, seed 0, split 0:" in result.stdout
    assert "split.csv" in folder.job("imil.B", 0, 0).status["error"]
    assert "Traceback" not in result.stdout + result.stderr
    for arm in ("baseline", "imil.A", "imil-random"):
        assert folder.job(arm, 0, 0).state == "done"
    status = command(["study", "status", folder.path], place).stdout
    assert "split.csv" in status.replace("\n", "")  # a long path is broken


@pytest.mark.slow
@pytest.mark.usefixtures("unreported")
def test_a_full_disk_fails_the_job_and_the_study_can_be_resumed(place, whole):
    (place / "full.toml").write_text(PLAN.format(arms='["baseline"]', seeds=[0], more=""))
    words = ["study", "run", "full.toml", "--out", "full", *ALIKE, "--cache", "cache"]
    result = command(words, place, largest_file=100_000)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    job = StudyFolder(place / "full").job("baseline", 0, 0)
    assert job.state == "failed"
    result = command(words, place)
    assert result.returncode == 0, result.stdout + result.stderr
    assert equal(weights(job), weights(whole[1].job("baseline", 0, 0)))


@pytest.mark.slow
def test_a_person_is_asked_for_cases_that_a_replay_lacks_and_can_stop(place, whole):
    known, *_, last = readings(whole[1].job("imil", 0, 0))
    (place / "some.csv").write_text(f"key,squares,reader\n{known},1 2,Lee\n{last},5,Lee\n")
    more = f'reader = "replay:{place / "some.csv"}"\notherwise = "console"'
    plan = PLAN.format(arms='["baseline", "imil"]', seeds=[0], more=more)
    (place / "asked.toml").write_text(plan.replace('"A"', '"Kim"'))
    others = shutil.ignore_patterns("mixup", "imil*", "cutout*", "upweight")
    shutil.copytree(whole[1].path, place / "asked", ignore=others)
    words = ["study", "run", "asked.toml", "--out", "asked", *ALIKE, "--cache", "cache"]
    person = Terminal(*words, cwd=place)
    person.wait_for("needs a reader: Kim")
    person.wait_for("case 2 of 3")
    person.type("3 4")
    person.type("")
    person.wait_for("case 3 of 3")
    person.type("q")
    assert person.end() == 0
    person = Terminal(*words, cwd=place)
    person.wait_for("predicted")
    person.type("7-9")
    person.type("")
    person.type("")
    person.wait_for("The report is")
    assert person.end() == 0
    result = readings(StudyFolder(place / "asked").job("imil", 0, 0))
    assert {
        key: (one.reader, one.squares) for key, one in result.items() if one.reader == "Lee"
    } == {
        known: ("Lee", (1, 2)),
        last: ("Lee", (5,)),
    }
    assert sorted(one.squares for one in result.values() if one.reader == "Kim") == [
        (3, 4),
        (7, 8, 9),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("unreported")
def test_two_jobs_at_once_and_ray_give_the_same_numbers(place, whole):
    arms = ["baseline", "imil", "imil-random"]
    for name, words in (("two", ["--jobs", "2"]), ("ray", ["--ray", "local"])):
        result, folder = study(place, name, arms=arms, words=words)
        assert result.returncode == 0, result.stdout + result.stderr
        for arm in arms:
            assert equal(weights(folder.job(arm, 0, 0)), weights(whole[1].job(arm, 0, 0)))


def test_a_job_whose_process_is_killed_is_tried_once_more(place, whole):
    from concurrent.futures import Future
    from concurrent.futures.process import BrokenProcessPool

    from imil.study.jobs.job import do
    from imil.study.jobs.runner import StudyRun
    from imil.study.jobs.workers import KILLED, Workers

    shutil.copytree(whole[1].path, place / "lost")
    folder = StudyFolder(place / "lost")
    plan = read_plan(folder.plan)
    for arm in ("mixup", "imil"):
        folder.job(arm, 0, 0).mark("running", seconds=5.0)  # as a killed study leaves it
    tasks = []

    def submit(task):
        tasks.append(task.arm)
        done = Future()
        if task.arm == "mixup" or tasks.count("imil") < 2:
            done.set_exception(BrokenProcessPool())
        else:
            done.set_result(do(task))
        return done

    log = StringIO()
    session = StudyRun(folder, plan, place / "cache", 1, Console(file=log, width=20))
    session.run(Workers(submit, 2))
    for line in log.getvalue().splitlines():
        assert re.match(r"To do: .* at a time\.$|\d of \d: .* done in |Failed: ", line), "broken"
    assert sorted(tasks) == ["imil", "imil", "mixup", "mixup"]
    assert folder.job("imil", 0, 0).state == "done"
    assert [(one.job.arm, why) for one, why in session.failed] == [("mixup", KILLED)]
    failed = folder.job("mixup", 0, 0).status
    assert (failed["state"], failed["seconds"], failed["error"]) == ("failed", 5.0, KILLED)


def test_ray_says_when_no_node_is_large_enough(monkeypatch):
    cluster = SimpleNamespace(
        init=lambda **_: None,
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 1e9}}],
        shutdown=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "ray", cluster)
    refusal = "no node of the Ray cluster has 1000 processors: give --threads 2 or less"
    with pytest.raises(SettingsError, match=refusal), ray_cluster("local", 1000, None):
        raise AssertionError("there is no room")


@pytest.mark.parametrize("out", ["file", "file/study"])
def test_a_folder_that_cannot_be_created_is_refused_in_one_sentence(place, out):
    (place / "file").write_text("")
    (place / "plain.toml").write_text(PLAN.format(arms='["baseline"]', seeds=[0], more=""))
    result = command(["study", "run", "plain.toml", "--out", out], place)
    assert result.returncode == 2
    assert "cannot be written" in result.stderr
    result = command(["study", "init", "quick", "--out", "file/quick.toml"], place)
    assert result.returncode == 2
    assert "file/quick.toml cannot be written" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("unreported")
def test_a_killed_study_can_be_resumed(place, whole):
    """The whole process group is killed at the first control, as by a lost machine."""
    import os
    import signal
    import subprocess
    import time

    name = place / "killed"
    arms = ["baseline", "imil", "imil-random", "upweight"]
    plan = PLAN.format(arms=json.dumps(arms), seeds=[0], more="")
    (place / "killed.toml").write_text(plan)
    words = ["study", "run", place / "killed.toml", "--out", name, *ALIKE]
    words += ["--cache", place / "cache"]
    code = "from imil.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = StudyFolder(name)
    while folder.job("imil", 0, 0).state != "running":
        assert process.poll() is None, "it ended"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert folder.job("baseline", 0, 0).state == "done"
    assert folder.job("upweight", 0, 0).state != "done"
    baseline = folder.job("baseline", 0, 0).run.weights
    before = baseline.stat().st_mtime_ns
    result = command(words, place)
    assert result.returncode == 0, result.stdout + result.stderr
    assert baseline.stat().st_mtime_ns == before
    assert "baseline, seed 0" not in result.stdout
    for arm in arms:
        assert equal(weights(folder.job(arm, 0, 0)), weights(whole[1].job(arm, 0, 0)))
