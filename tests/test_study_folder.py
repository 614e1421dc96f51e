"""The folder of a study: what lies where, and what is said where it does not."""

import json

import numpy as np
import pandas as pd
import pytest

from imil.atomic_files import write_json
from imil.errors import DataError
from imil.predictions import Predictions
from imil.study.study_folder import StudyFolder
from imil.study.study_predictions import select_images
from imil.training.outputs.prediction_files import write_predictions

PROBS = np.array([[0.25, 0.75], [0.9, 0.1], [0.5, 0.5]])
LABELS = np.array([1, 0, 0])
KEYS = ["a.png", "b.png", "c.png"]


@pytest.fixture
def job(tmp_path):
    return StudyFolder(tmp_path / "study").job("imil.Lee", 3, 1)


def test_files_have_the_documented_paths(tmp_path):
    study = StudyFolder(tmp_path)
    job = study.job("imil", 2, 0)
    paths = [study.plan, study.facts, study.images, study.splits(4), study.figures, study.report]
    paths += [job.path, job.focus, job.heat_maps, job.run.store]
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        *("plan.toml", "study.json", "images.parquet", "splits/split-4.csv"),
        *("figures", "report.html", "jobs/imil/seed-2-split-0"),
        "jobs/imil/seed-2-split-0/focus.parquet",
        "jobs/imil/seed-2-split-0/heat-maps.npz",
        "jobs/imil/seed-2-split-0/imil.sqlite",
    ]


def test_jobs_come_split_by_split_and_seed_by_seed(tmp_path):
    jobs = StudyFolder(tmp_path).jobs(["baseline", "imil"], [7, 8], 2)
    assert [(job.split, job.seed, job.arm) for job in jobs] == [
        (split, seed, arm) for split in (0, 1) for seed in (7, 8) for arm in ("baseline", "imil")
    ]
    assert len({job.path for job in jobs}) == 8


def test_a_job_has_a_name_and_a_unit(job):
    assert job.name == "imil.Lee, seed 3, split 1"
    assert job.unit == (3, 1)


def test_a_job_that_was_not_started_is_waiting(job):
    assert job.state == "waiting"
    assert job.status == {"state": "waiting"}
    assert not job.path.exists()


def test_a_state_stays_until_the_next(job):
    job.mark("running", seconds=1.5)
    job.mark("failed", seconds=2.0, error="no room")
    assert job.status == {"state": "failed", "seconds": 2.0, "error": "no room"}
    assert job.state == "failed"


def test_what_a_job_was_trained_with_is_kept_in_later_states(job):
    job.mark("done", seconds=2.0, threads=1, device="cuda", precision="bf16")
    job.mark("running", seconds=3.0)
    how = {"threads": 1, "device": "cuda", "precision": "bf16"}
    assert job.status == {"state": "running", "seconds": 3.0} | how
    job.mark("running", seconds=3.0, device="cpu")
    assert job.status["device"] == "cpu"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "3"])
def test_a_damaged_state_file_is_refused_in_one_sentence(job, text):
    job.path.mkdir(parents=True)
    (job.path / "job.json").write_text(text)
    with pytest.raises(DataError, match=r"job\.json is damaged: delete it"):
        _ = job.state


def test_predictions_come_back_as_they_were_written(job):
    write_predictions(job.run.predictions("epoch-070", "test"), Predictions(PROBS, LABELS, KEYS))
    result = job.predictions(when="epoch-070")
    assert result.keys == tuple(KEYS)
    assert (result.probs == PROBS).all()
    assert (result.labels == LABELS).all()
    assert len(result) == 3
    with pytest.raises(DataError, match="run the study to its end"):
        job.predictions()


def test_the_columns_of_twelve_classes_keep_their_order(job):
    probs = np.random.default_rng(0).dirichlet(np.ones(12), 3)
    write_predictions(job.run.predictions("end", "test"), Predictions(probs, LABELS, KEYS))
    assert (job.predictions().probs == probs).all()


def test_the_test_set_comes_first_and_training_sets_are_left_out(job):
    assert job.sets() == ()
    for name in ("train", "val", "external-b", "test", "external-a"):
        write_predictions(job.run.predictions("end", name), Predictions(PROBS, LABELS, KEYS))
    assert job.sets() == ("test", "external-a", "external-b")


@pytest.mark.parametrize("damage", [b"", b"no table", b"PAR1"])
def test_damaged_predictions_are_refused_in_one_sentence(job, damage):
    path = job.run.predictions("end", "test")
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    with pytest.raises(DataError, match="cannot be read"):
        job.predictions()


def test_some_of_the_predictions_keep_their_order():
    selected = select_images(Predictions(PROBS, LABELS, KEYS), {"c.png", "a.png"})
    assert selected.keys == ("a.png", "c.png")
    assert selected.labels.tolist() == [1, 0]
    assert (selected.probs == PROBS[[0, 2]]).all()


def test_facts_are_read_and_a_folder_without_them_is_refused(tmp_path):
    study = StudyFolder(tmp_path)
    with pytest.raises(DataError, match=r"is .* a study"):
        study.read_facts()
    study.facts.write_text("{")
    with pytest.raises(DataError, match=r"study\.json is damaged"):
        study.read_facts()
    facts = {"classes": ["a", "b"], "images": {"data": 2}, "fingerprint": "0"}
    write_json(study.facts, facts)
    assert study.read_facts() == facts == json.loads(study.facts.read_text())


def test_keys_that_look_like_numbers_stay_text(job):
    path = job.run.predictions("end", "test")
    path.parent.mkdir(parents=True)
    pd.DataFrame({"key": [1, 2], "label": [0, 1], "prob_0": 0.5, "prob_1": 0.5}).to_parquet(path)
    assert job.predictions().keys == ("1", "2")
