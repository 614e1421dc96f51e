"""Jobs of a study on SLURM: what becomes of each, and what is missing in one sentence."""

import pickle
import sys
from types import SimpleNamespace

import pytest

from imil.errors import SettingsError
from imil.study.jobs import slurm_workers
from imil.study.jobs.slurm_workers import slurm_cluster
from imil.study.jobs.workers import KILLED


def cluster(partition, folder):
    return slurm_cluster(partition, folder, 1, None, 60)


def test_what_is_missing_is_named_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    refusal = "sbatch is not on the path: .* or give --slurm local"
    with pytest.raises(SettingsError, match=refusal), cluster("gpu", tmp_path):
        raise AssertionError("there is no SLURM")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(SettingsError, match="--slurm needs submitit"), cluster("gpu", tmp_path):
        raise AssertionError("there is no submitit")


@pytest.mark.parametrize(
    ("ends_with", "says"),
    [
        (("success", ""), ""),
        (("success", "the data are gone"), "the data are gone"),
        (("error", "Traceback …\n  line\nMemoryError: 9 GiB\n"), "MemoryError: 9 GiB"),
        (None, KILLED),
    ],
)
def test_a_job_that_ends_has_a_reason_in_one_sentence(monkeypatch, tmp_path, ends_with, says):
    monkeypatch.setattr(slurm_workers, "POLL_SECONDS", 0.01)
    file = tmp_path / "result.pkl"
    job = SimpleNamespace(job_id="7", paths=SimpleNamespace(result_pickle=file))
    jobs = slurm_workers._Jobs(lambda _: set())
    future = jobs.add(job)
    if ends_with is not None:
        file.write_bytes(pickle.dumps(ends_with))
    future.add_done_callback(lambda _: jobs.over.set())
    jobs.watch()
    assert future.result() == says
    assert jobs.waiting == {}


def commands(folder, **texts):
    """Commands that print these texts, in place of SLURM's."""
    for name, text in texts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)


@pytest.mark.process
def test_a_job_is_alive_while_slurm_has_it_or_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    jobs = [SimpleNamespace(job_id=number) for number in ("7", "8")]
    commands(tmp_path, squeue="printf '8\\n9\\n'")
    assert "8" in slurm_workers._in_queue(jobs)
    assert "7" not in slurm_workers._in_queue(jobs)
    commands(tmp_path, squeue="exit 1")
    assert slurm_workers._in_queue(jobs) == {"7", "8"}


@pytest.mark.process
def test_a_job_gets_a_gpu_where_the_partition_has_any(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for text, gpus in (("a100 gpu:a100:4(S:0-1)", 1), ("cpu (null)", 0)):
        commands(tmp_path, sinfo=f"echo '{text}'")
        assert slurm_workers._gpus("a100") == gpus
    commands(tmp_path, sinfo="true")
    with pytest.raises(SettingsError, match="no partition 'a100': give one that sinfo lists"):
        slurm_workers._gpus("a100")
