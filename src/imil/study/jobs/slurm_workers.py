"""Workers of a study as jobs of SLURM, submitted with submitit."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imil.errors import SettingsError
from imil.safe_path import isolate_children
from imil.study.jobs.job import Task, do
from imil.study.jobs.workers import KILLED, Workers

LOCAL = "local"  # in place of a partition: processes of this machine, to try it
AT_A_TIME = 100  # jobs in the queue, where nobody says how many
POLL_SECONDS = 2.0
TIMEOUTS = 1000  # a job whose time is over goes back into the queue, and on from its checkpoint


class Requeued:
    """Does a task; submitit puts it back into the queue where its time is over."""

    def __call__(self, task: Task) -> str:
        """The reason why it failed, or ""."""
        return do(task)

    def checkpoint(self, task: Task) -> Any:
        """What to do next time: the same, which continues from the training's checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)


@dataclass
class _Jobs:
    """Jobs that were submitted and have not ended.

    Args:
        alive: which of these jobs are in the queue or run.
    """

    alive: Callable[[Sequence[Any]], set[str]]
    waiting: dict[str, tuple[Any, Future[str]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def add(self, job: Any) -> Future[str]:
        future: Future[str] = Future()
        future.set_running_or_notify_cancel()
        with self.lock:
            self.waiting[job.job_id] = job, future
        return future

    def watch(self) -> None:
        """Complete the futures, until the study is over."""
        missing: set[str] = set()
        while not self.over.wait(POLL_SECONDS):
            with self.lock:
                waiting = dict(self.waiting)
            alive = self.alive([job for job, _ in waiting.values()])
            for number, (job, future) in waiting.items():
                if job.paths.result_pickle.exists():
                    self._end(number, future, _result(job))
                elif number not in alive and number in missing:  # a result may be on its way
                    self._end(number, future, KILLED)
                elif number not in alive:
                    missing.add(number)

    def _end(self, number: str, future: Future[str], result: str) -> None:
        with self.lock:
            del self.waiting[number]
        future.set_result(result)

    def cancel(self) -> None:
        """Take what is left out of the queue: a training goes on from its checkpoint later."""
        self.over.set()
        for job, _ in self.waiting.values():
            with suppress(OSError):
                job.cancel(check=False)


@contextmanager
def slurm_cluster(
    partition: str, folder: Path, threads: int, jobs: int | None, minutes: int
) -> Iterator[Workers]:
    """A SLURM cluster whose nodes see the study's folder, data and masks under the same paths.

    Args:
        partition: of the cluster, or `local` for processes of this machine.
        folder: for the jobs' scripts and logs.
        threads: processors for each task, and a GPU if the partition has any.
        jobs: how many may be in the queue at a time; None: AT_A_TIME.
        minutes: after which a job goes back into the queue.
    Raises: SettingsError: submitit or SLURM is not installed.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise SettingsError("--slurm needs submitit: pip install 'imil[slurm]'") from None
    if partition != LOCAL and not all(map(shutil.which, ("sbatch", "srun", "squeue"))):
        raise SettingsError(
            "--slurm needs SLURM's commands, and sbatch is not on the path: run it on a machine of "
            "the cluster, or give --slurm local"
        )
    isolate_children()
    local = partition == LOCAL
    executor = submitit.AutoExecutor(
        folder,
        cluster="local" if local else "slurm",
        local_max_num_timeout=TIMEOUTS,
        slurm_max_num_timeout=TIMEOUTS,
    )
    executor.update_parameters(name="imil", timeout_min=minutes, cpus_per_task=threads)
    if not local:
        executor.update_parameters(slurm_partition=partition, gpus_per_node=_gpus(partition))
    submitted = _Jobs(_running if local else _in_queue)
    thread = threading.Thread(target=submitted.watch, name="imil-slurm", daemon=True)
    thread.start()

    def submit(task: Task) -> Future[str]:
        try:
            return submitted.add(executor.submit(Requeued(), task))
        except submitit.core.utils.FailedJobError as error:
            raise SettingsError(f"sbatch refused a job: {_last_line(error)}") from error

    try:
        yield Workers(submit, jobs or AT_A_TIME)
    finally:
        submitted.cancel()
        thread.join()


def _result(job: Any) -> str:
    """What the task gave, or why it raised, in a sentence."""
    from submitit.core.utils import pickle_load

    how, result = pickle_load(job.paths.result_pickle)
    if how == "success":
        return str(result)
    lines: list[str] = str(result).strip().splitlines()  # a traceback
    return lines[-1] if lines else "it failed"


def _running(jobs: Sequence[Any]) -> set[str]:
    """Which of these processes of this machine run."""
    return {job.job_id for job in jobs if not job.done()}


def _in_queue(jobs: Sequence[Any]) -> set[str]:
    """Which of these jobs SLURM has, in the queue or running."""
    words = ["squeue", "--noheader", "--format=%A", f"--user={getpass.getuser()}"]
    queue = subprocess.run(words, capture_output=True, text=True, check=False)
    if queue.returncode:  # the controller does not answer: no job is lost by that
        return {job.job_id for job in jobs}
    return set(queue.stdout.split())


def _gpus(partition: str) -> int:
    """GPUs for each job: 1 if the partition has any.

    Raises: SettingsError: SLURM does not answer, or has no such partition.
    """
    words = ["sinfo", "--noheader", "--format=%R %G", f"--partition={partition}"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SettingsError(f"sinfo does not answer: {answer.stderr.strip() or 'no reason given'}")
    if not answer.stdout.strip():
        raise SettingsError(
            f"SLURM has no partition '{partition}': give one that sinfo lists, or --slurm local"
        )
    return int("gpu" in answer.stdout.split(maxsplit=1)[1])


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
