"""A study with a planted shortcut: what its arms are trained on, read and tested with."""

import json
import shutil

import numpy as np
import pandas as pd
import processes
import pytest
from processes import command
from safetensors.torch import load_file

from imil.phantom.dataset import write_phantoms
from imil.store import Store
from imil.study.plan import read_plan
from imil.study.study_folder import StudyFolder

pytestmark = pytest.mark.slow  # a study of seven arms is trained

ARMS = ["baseline", "no-shortcut", "imil", "best", "best-random", "best-inverted"]
ARMS += ["best-no-shortcut"]
TRAINING = """
name = "a shortcut"
data = "films/manifest.csv"
arms = {arms}

[training]
model = "test_resnet"
image-size = 32
epochs = 4
batch-size = 16
optimizer = "adamw"
lr = 0.01
imil-epoch = 2
num-outliers = 6
choice = "uncertain"  # there are always six

[[readers]]
name = "A"
"""
SHORTCUT = """
[shortcut]
share = {share}
"""
TREATMENTS = """
[[treatments]]
name = "best"
treatment = "field-of-view:reliance=0"
controls = ["random", "inverted"]
without_shortcut = true
"""


@pytest.fixture
def unreported(monkeypatch):
    """Commands end without writing a report, which takes seconds."""
    monkeypatch.setattr(processes, "_command", _without_report)


def _without_report(*given):
    from imil.cli import study_command

    study_command._report = lambda _path: None
    processes._command(*given)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with films, in which studies are run."""
    folder = tmp_path_factory.mktemp("studies")
    write_phantoms(folder / "films", n=80, size=48, seed=3)
    return folder


def study(place, name, arms, tables, out=None):
    """What `imil study run` said, and the study's folder."""
    (place / f"{name}.toml").write_text(TRAINING.format(arms=json.dumps(arms)) + tables)
    words = ["study", "run", f"{name}.toml", "--out", out or name]
    said = command([*words, "--threads", "1", "--cache", "cache"], place)
    return said, StudyFolder(place / (out or name))


@pytest.fixture(scope="module")
def whole(place):
    """A study that ran to its end."""
    said, folder = study(place, "whole", ARMS[:3], SHORTCUT.format(share=0.95) + TREATMENTS)
    assert said.returncode == 0, said.stdout + said.stderr
    return folder


@pytest.fixture(scope="module")
def plain(place):
    """The same study without a shortcut."""
    said, folder = study(place, "plain", ["baseline", "imil"], "")
    assert said.returncode == 0, said.stdout + said.stderr
    return folder


def weights(folder, arm):
    return load_file(folder.job(arm, 0, 0).run.weights)


def equal(one, other):
    return one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


def readings(folder, arm):
    """Sample to the standing reading of the job's round, in the order of its cases."""
    store = Store(folder.job(arm, 0, 0).run.store, readonly=True)
    (held,) = store.rounds()
    standing = store.current_readings(held.id)
    found = {case.key: standing[case.id] for case in store.cases(held.id)}
    store.close()
    return found


def test_every_arm_is_done_and_tested_with_the_mark_for_against_and_without(whole):
    plan = read_plan(whole.plan)
    assert [arm.id for arm in plan.rows] == ARMS
    for arm in ARMS:
        job = whole.job(arm, 0, 0)
        assert job.state == "done"
        assert job.sets() == ("test", "test-for", "test-against")
        test, with_for, against = (job.predictions(name) for name in job.sets())
        assert test.keys == with_for.keys == against.keys
        last = test.labels == 1
        # the mark is in the last class's images of one set, and in the others' of the other
        assert (with_for.probs[~last] == test.probs[~last]).all(axis=1).all()
        assert (against.probs[last] == test.probs[last]).all(axis=1).all()


def test_the_mark_is_seen_by_a_network_that_was_trained_with_it(whole):
    job = whole.job("baseline", 0, 0)
    test, with_for, against = (job.predictions(name) for name in job.sets())
    last = test.labels == 1
    assert (with_for.probs[last] != test.probs[last]).any()
    assert (against.probs[~last] != test.probs[~last]).any()


def test_without_the_shortcut_is_the_training_of_a_study_without_one(whole, plain):
    assert equal(weights(whole, "no-shortcut"), weights(plain, "baseline"))
    assert not equal(weights(whole, "baseline"), weights(plain, "baseline"))


def test_a_treatment_without_the_shortcut_reads_what_that_network_gets_wrong(whole, plain):
    theirs, own = readings(plain, "imil"), readings(whole, "best-no-shortcut")
    assert list(own) == list(theirs)
    for key, reading in own.items():
        assert (reading.verdict, reading.squares) == (theirs[key].verdict, theirs[key].squares)
    before = "epoch-002"
    trunk = whole.job("no-shortcut", 0, 0).predictions(when=before)
    assert (whole.job("best-no-shortcut", 0, 0).predictions(when=before).probs == trunk.probs).all()


def test_treatments_repeat_the_readings_and_controls_have_the_same_cases(whole):
    theirs = readings(whole, "imil")
    assert len(theirs) == 6
    best, random, inverted = (readings(whole, f"best{of}") for of in ("", "-random", "-inverted"))
    assert list(best) == list(random) == list(inverted) == list(theirs)
    assert any(random[key].squares != theirs[key].squares for key in theirs)
    for key, reading in theirs.items():
        assert best[key].squares == reading.squares
        assert best[key].reader == "A"
        assert len(random[key].squares) == len(reading.squares)
        assert set(inverted[key].squares) == set(range(1, 17)) - set(reading.squares)


def test_a_treatment_does_what_it_says(whole):
    field = json.loads(whole.job("best", 0, 0).run.field_of_view.read_text())
    selected = {square for one in readings(whole, "imil").values() for square in one.squares}
    assert set(field["squares"]) <= selected
    assert len(field["squares"]) < 16
    assert not equal(weights(whole, "best"), weights(whole, "imil"))


def test_the_energy_is_measured_where_the_mark_argues_against_the_class(whole):
    table = pd.read_parquet(whole.job("baseline", 0, 0).shortcut_focus)
    against = whole.job("baseline", 0, 0).predictions("test-against")
    marked = [key for key, label in zip(against.keys, against.labels, strict=True) if label == 0]
    assert list(table["key"]) == marked
    assert table["area"].to_numpy() == pytest.approx(1 / 16)


def test_the_table_has_each_arm_and_measure_with_its_difference_and_share_of_the_gap(whole):
    table = pd.read_csv(whole.shortcut_table, keep_default_na=False, na_values=[""])
    table["reference"] = table["reference"].fillna("")
    assert set(zip(table["arm"], table["measure"], strict=True)) == {
        (arm, measure) for arm in ARMS for measure in table["measure"].unique()
    }
    assert {"shift", "flips", "worst_group", "accuracy_against", "auroc_against"} <= set(
        table["measure"]
    )
    row = table.set_index(["arm", "measure"]).loc
    job = whole.job("best", 0, 0)
    against = job.predictions("test-against")
    right = (against.probs.argmax(axis=1) == against.labels).mean()
    assert row["best", "accuracy_against"]["mean"] == pytest.approx(right)
    base = row["baseline", "accuracy_against"]["mean"]
    assert row["best", "accuracy_against"]["diff"] == pytest.approx(right - base)
    assert row["baseline", "shift"]["reference"] == ""
    assert row["no-shortcut", "shift"]["reference"] == "baseline"
    assert row["best-no-shortcut", "accuracy"]["reference"] == "no-shortcut"
    assert np.isnan(row["best-no-shortcut", "accuracy_against"]["closed"])
    gap = row["no-shortcut", "accuracy_against"]["mean"] - base
    assert gap > 0
    assert row["best", "accuracy_against"]["closed"] == pytest.approx((right - base) / gap)
    assert np.isnan(row["no-shortcut", "accuracy_against"]["closed"])


@pytest.mark.usefixtures("unreported")
def test_a_lost_set_is_predicted_again_and_nothing_is_trained(place, whole):
    shutil.copytree(whole.path, place / "lost")
    job = StudyFolder(place / "lost").job("best", 0, 0)
    before, trained = job.predictions("test-for"), job.run.weights.stat().st_mtime_ns
    job.run.predictions("end", "test-for").unlink()
    job.shortcut_focus.unlink()
    tables = SHORTCUT.format(share=0.95) + TREATMENTS
    said, _ = study(place, "whole", ARMS[:3], tables, out="lost")
    assert said.returncode == 0, said.stdout + said.stderr
    assert job.run.weights.stat().st_mtime_ns == trained
    assert np.allclose(job.predictions("test-for").probs, before.probs, atol=1e-6)
    assert job.shortcut_focus.exists()


def test_another_shortcut_or_treatment_of_the_same_name_is_refused(place, whole):
    tables = SHORTCUT.format(share=0.9) + TREATMENTS
    said, _ = study(place, "other", ARMS[:3], tables, out="whole")
    assert said.returncode == 2
    assert "contains a study with another 'shortcut'" in said.stderr
    tables = SHORTCUT.format(share=0.95) + TREATMENTS.replace("reliance=0", "reliance=1")
    said, _ = study(place, "other", ARMS[:3], tables, out="whole")
    assert said.returncode == 2
    assert "was trained with treatment field-of-view:reliance=0, but the plan has" in said.stderr
