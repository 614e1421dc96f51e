"""A study's predictions in memory: each file is read once."""

from collections import Counter

import pandas as pd
import pytest
from studies import make_study

from imil.study.plan import read_plan
from imil.study.report.write import write_report
from imil.study.study_predictions import StudyPredictions


@pytest.fixture
def study(tmp_path):
    """A study with two seeds, an external set and subgroups."""
    return make_study(
        tmp_path / "s", arms=("baseline", "mixup", "imil"), seeds=(0, 1), n=20, train=20
    )


@pytest.fixture
def reads(monkeypatch):
    """How often each Parquet file is read, by path."""
    counts = Counter()
    read_parquet = pd.read_parquet

    def counted(path, *args, **kwargs):
        table = read_parquet(path, *args, **kwargs)
        counts[path] += 1  # a missing file is not read
        return table

    monkeypatch.setattr(pd, "read_parquet", counted)
    return counts


@pytest.mark.slow
def test_a_report_reads_each_file_of_a_training_once(study, reads):
    write_report(study, read_plan(study.plan))
    end = set(study.path.glob("jobs/*/*/predictions/end/*.parquet"))
    assert len(end) >= 3 * 2 * 2  # arms, seeds, sets
    assert {path for path in end if path.stem == "test"} <= reads.keys()
    assert set(study.path.glob("jobs/*/*/focus.parquet")) <= reads.keys()
    assert {n for path, n in reads.items() if "jobs" in path.parts} == {1}


def test_predictions_are_the_same_object_when_they_are_asked_for_again(study):
    predictions = StudyPredictions(study, read_plan(study.plan))
    job = study.job("imil", 1, 0)
    assert predictions.read(job) is predictions.by_set["test"]["imil"][1, 0]
