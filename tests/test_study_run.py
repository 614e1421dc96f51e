"""Running a study: forks, controls, what is done once, and what happens when things fail."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from processes import command, start
from safetensors.torch import load_file
from terminals import Terminal

from imil.store import Store
from imil.study.folder import StudyFolder
from imil.study.plan import read_plan
from imil.training.classifier import EpochOrder
from imil.training.phantom import write_phantoms

ARMS = [
    "baseline",
    "mixup",
    "imil",
    "imil-random",
    "imil-inverted",
    "cutout-same",
    "upweight",
]
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
    said = command(
        ["study", "run", plan, "--out", place / name, *ALIKE, "--cache", place / "cache", *words],
        place,
    )
    return said, StudyFolder(place / name)


def weights(job):
    return load_file(job.run.weights)


def equal(one, other):
    return one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


@pytest.fixture(scope="module")
def whole(place):
    """A study that ran to its end."""
    said, folder = study(place, "whole")
    assert said.returncode == 0, said.stdout + said.stderr
    return said, folder


def readings(job):
    """Sample to the standing reading of the job's round, in the order of its cases."""
    store = Store(job.run.store, readonly=True)
    (held,) = store.rounds()
    standing = store.standing(held.id)
    found = {case.key: standing[case.id] for case in store.cases(held.id)}
    store.close()
    return found


def alone(place, out, reader):
    """A training of its own, as `imil train` does it, with one thread."""
    torch.set_num_threads(1)
    from imil.training.session import new_run, settle

    flags = {"data": str(place / "films/manifest.csv"), "model": "test_resnet", "image_size": 32}
    flags |= {"epochs": 4, "batch_size": 16, "lr": 0.05, "imil_epoch": 2, "num_outliers": 4}
    settings, folder = settle(flags | {"reader": reader}, None, out)
    new_run(settings, folder, place / "cache")


@pytest.mark.parametrize(("arm", "reader"), [("baseline", "none"), ("imil", "simulated")])
def test_a_fork_equals_a_training_from_the_start_bit_for_bit(place, whole, arm, reader):
    out = place / f"alone-{arm}"
    assert start(alone, place, out, reader) == 0
    job = whole[1].job(arm, 0, 0)
    assert equal(load_file(out / "model.safetensors"), weights(job))
    predicted = (out / "predictions/end/test.parquet").read_bytes()
    assert predicted == job.run.predictions("end", "test").read_bytes()


def test_what_is_shared_is_trained_once(whole):
    plan = read_plan(whole[1].plan)
    from imil.study.schedule import entries

    trained = {one.job.arm: one.epochs for one in entries(plan, whole[1])}
    assert trained == {"baseline": 4, "mixup": 4} | dict.fromkeys(ARMS[2:], 2)
    for arm in ARMS[2:]:
        before = whole[1].job(arm, 0, 0).predictions(when="epoch-002").probs
        assert (before == whole[1].job("baseline", 0, 0).predictions(when="epoch-002").probs).all()


def test_the_controls_are_about_the_same_cases(whole):
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


def test_favoured_images_are_drawn_five_times_as_often_and_epochs_stay_as_long():
    order = EpochOrder(100, seed=0)
    plain = list(order)
    order.favour([], 5)
    assert list(order) == plain
    order.favour([7, 8], 5)
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


def test_what_is_done_is_not_done_again(place, whole):
    before = {p: p.stat().st_mtime_ns for p in whole[1].path.rglob("model.safetensors")}
    assert len(before) == len(ARMS)
    said, folder = study(place, "whole")
    assert said.returncode == 0, said.stderr
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("model.safetensors")} == before


def test_a_seed_can_be_added_later(place, whole):
    shutil.copytree(whole[1].path, place / "grown", dirs_exist_ok=True)
    said, folder = study(place, "grown", arms=["baseline", "mixup"], seeds=[0, 1])
    assert said.returncode == 0, said.stderr
    assert folder.job("mixup", 1, 0).state == "done"
    assert "mixup, seed 0" not in said.stdout


def test_a_study_with_other_settings_is_refused(place, whole):
    plan = (place / "whole.toml").read_text().replace("lr = 0.05", "lr = 0.01")
    (place / "other.toml").write_text(plan)
    said = command(["study", "run", place / "other.toml", "--out", whole[1].path], place)
    assert said.returncode == 2
    assert "another 'training'" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_failed_job_is_reported_and_the_rest_go_on(place, whole):
    before = whole[1].job("baseline", 0, 0).predictions("train", "epoch-002")
    right = before.probs.argmax(axis=1) == before.labels  # so it is not among the cases
    never_asked = before.keys[int(np.flatnonzero(right)[0])]
    (place / "others.csv").write_text(f"key,squares\n{never_asked},1 2\n")
    more = f'[[readers]]\nname = "B"\nreader = "replay:{place / "others.csv"}"'
    said, folder = study(place, "failing", arms=["baseline", "imil", "imil-random"], more=more)
    assert said.returncode == 1, said.stdout + said.stderr
    assert folder.job("imil.B", 0, 0).state == "failed"
    assert "Failed: imil.B, seed 0, split 0:" in said.stdout
    assert "no reading of any case" in folder.job("imil.B", 0, 0).status["error"]
    assert "Traceback" not in said.stdout + said.stderr
    for arm in ("baseline", "imil.A", "imil-random"):
        assert folder.job(arm, 0, 0).state == "done"
    assert "others.csv" in command(["study", "status", folder.path], place).stdout


def test_a_person_is_asked_what_a_replay_does_not_know_and_can_stop(place, whole):
    known, *_, last = readings(whole[1].job("imil", 0, 0))
    (place / "some.csv").write_text(f"key,squares,reader\n{known},1 2,Lee\n{last},5,Lee\n")
    more = f'reader = "replay:{place / "some.csv"}"\notherwise = "console"'
    plan = PLAN.format(arms='["baseline", "imil"]', seeds=[0], more=more)
    (place / "asked.toml").write_text(plan)
    words = ["study", "run", "asked.toml", "--out", "asked", *ALIKE, "--cache", "cache"]
    person = Terminal(*words, cwd=place)
    person.wait_for("needs a reader: A")
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
    found = readings(StudyFolder(place / "asked").job("imil", 0, 0))
    assert {
        key: (one.reader, one.squares) for key, one in found.items() if one.reader == "Lee"
    } == {
        known: ("Lee", (1, 2)),
        last: ("Lee", (5,)),
    }
    assert sorted(one.squares for one in found.values() if one.reader == "A") == [(3, 4), (7, 8, 9)]


def test_two_jobs_at_once_and_ray_give_the_same_numbers(place, whole):
    arms = ["baseline", "imil", "imil-random"]
    for name, words in (("two", ["--jobs", "2"]), ("ray", ["--ray", "local"])):
        said, folder = study(place, name, arms=arms, words=words)
        assert said.returncode == 0, said.stdout + said.stderr
        for arm in arms:
            assert equal(weights(folder.job(arm, 0, 0)), weights(whole[1].job(arm, 0, 0)))


def test_a_killed_study_goes_on_where_it_was(place, whole):
    """The whole process group is killed at the first control, as by a lost machine."""
    import os
    import signal
    import subprocess
    import sys
    import time

    name = place / "killed"
    shutil.copy(place / "whole.toml", place / "killed.toml")
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
    deadline = time.monotonic() + 120
    while folder.job("imil", 0, 0).state != "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert folder.job("baseline", 0, 0).state == "done"
    assert folder.job("upweight", 0, 0).state != "done"
    said = command(words, place)
    assert said.returncode == 0, said.stdout + said.stderr
    for arm in ARMS:
        assert equal(weights(folder.job(arm, 0, 0)), weights(whole[1].job(arm, 0, 0)))
