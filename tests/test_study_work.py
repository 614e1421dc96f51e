"""The settings of a job: device and precision do not change once it was started."""

import pytest
import torch

from imil.errors import SettingsError
from imil.study.arms import Arm
from imil.study.jobs.job import settings_of_start
from imil.study.plan import make_plan
from imil.study.study_folder import StudyFolder

BASELINE, MIXUP, IMIL = Arm("baseline"), Arm("mixup"), Arm("imil", "A")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study on a machine without a GPU: its folder, and what an arm trains with there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    values = {"name": "A", "data": "films.csv", "arms": ["baseline", "mixup", "imil"]}
    plan = make_plan(values | {"readers": [{"name": "A"}]}, base=tmp_path)
    folder = StudyFolder(tmp_path / "study")

    class Study:
        def job(self, arm):
            return folder.job(arm.id, 0, 0)

        def trains(self, arm):
            settings = settings_of_start(folder, arm, self.job(arm), plan.settings(arm, 0))
            return settings.device, settings.precision

        def started(self, arm, *, with_file, **settings):
            job = self.job(arm)
            file = getattr(job.run, with_file)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            plan.settings(arm, 0).model_copy(update=settings).write(job.run.config)

    return Study()


def other(study):
    """The precision that `auto` does not come to here."""
    return {"32": "bf16", "bf16": "32"}[study.trains(BASELINE)[1]]


def test_a_job_that_was_not_started_takes_what_the_machine_has(study):
    assert study.trains(MIXUP)[0] == "cpu"
    assert study.trains(MIXUP)[1] in ("32", "bf16")


def test_a_job_continues_in_the_precision_that_it_was_started_with(study):
    precision = other(study)
    study.started(MIXUP, with_file="last", device="cpu", precision=precision)
    assert study.trains(MIXUP) == ("cpu", precision)


def test_an_arm_that_continues_from_the_baseline_has_its_precision(study):
    precision = other(study)
    study.started(BASELINE, with_file="metrics", device="cpu", precision=precision)
    assert study.trains(IMIL) == ("cpu", precision)
    assert study.trains(MIXUP)[1] != precision  # it shares nothing with the baseline


@pytest.mark.parametrize(("arm", "with_file"), [(BASELINE, "last"), (BASELINE, "metrics")])
def test_a_device_that_is_not_available_is_refused_in_one_sentence(study, arm, with_file):
    study.started(arm, with_file=with_file, device="cuda", precision="bf16")
    with pytest.raises(SettingsError, match=r"jobs/baseline/.* was started on cuda") as caught:
        study.trains(IMIL)
    assert "\n" not in str(caught.value)


def test_a_job_that_failed_before_its_first_checkpoint_starts_again(study):
    study.started(MIXUP, with_file="splits", device="cuda", precision="bf16")
    assert study.trains(MIXUP)[0] == "cpu"


def test_a_folder_that_does_not_record_the_device_takes_what_the_machine_has(study):
    study.started(BASELINE, with_file="metrics")  # auto, as they were written at first
    assert study.trains(IMIL) == study.trains(MIXUP)
