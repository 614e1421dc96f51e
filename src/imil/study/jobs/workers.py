"""Workers, which do the jobs: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imil.errors import SettingsError
from imil.safe_path import isolate_children
from imil.study.jobs.job import Task, do
from imil.threads import processors

KILLED = "its process was killed (out of memory?)"
PACKAGE_PARENT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Workers:
    """Something that does tasks.

    Args:
        submit: starts a task; the future gives the reason why it failed, or "".
        slots: how many may run at a time.
    """

    submit: Callable[[Task], Future[str]]
    slots: int


@contextmanager
def processes(jobs: int) -> Iterator[Workers]:
    """That number of processes of this machine; they end with the block."""
    isolate_children()
    pools = [_pool(jobs)]

    def submit(task: Task) -> Future[str]:
        try:
            return pools[-1].submit(do, task)
        except BrokenProcessPool:  # a worker was killed, which ends the whole pool
            pools.append(_pool(jobs))
            return pools[-1].submit(do, task)

    try:
        yield Workers(submit, jobs)
    finally:
        for pool in pools:
            _end(pool)


def outcome(done: Future[str]) -> str:
    """The reason why the task failed, or ""."""
    error = done.exception()
    if isinstance(error, BrokenProcessPool):
        return KILLED
    if error is not None:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return done.result()


def threads_of(jobs: int) -> int:
    """Threads for each of `jobs` processes, so that together they use all processors they may."""
    return max(1, processors() // jobs)


@contextmanager
def ray_cluster(address: str, threads: int, jobs: int | None) -> Iterator[Workers]:
    """A Ray cluster whose nodes see the study's folder, data and masks under the same paths.

    Args:
        address: of the cluster, `auto` for the one that this machine belongs to, or `local` for
            a new one on this machine.
        threads: processors for each task, and a GPU if the cluster has any.
        jobs: how many tasks may run at a time; None: as many as the cluster has room for.
    Raises: SettingsError: Ray is not installed, there is no cluster at the address, or none of
        its nodes has so many processors.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no data leave the hospital
    try:
        import ray
    except ModuleNotFoundError:
        raise SettingsError("--ray needs Ray: pip install 'imil[ray]'") from None
    isolate_children()
    try:
        # Ray puts the folder that it is started in first on the search path of its workers
        with chdir(PACKAGE_PARENT):
            ray.init(
                address=address,
                log_to_driver=False,
                include_dashboard=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"there is no Ray cluster at '{address}' ({str(error).splitlines()[0]}): start one "
            "with `ray start --head`, or give --ray local"
        ) from error
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = int(any(node.get("GPU", 0) for node in nodes))
        useful = [node for node in nodes if node.get("GPU", 0) >= gpus]
        room = sum(
            int(min([node.get("CPU", 0) // threads] + [node.get("GPU", 0)] * gpus))
            for node in useful
        )
        if not room:
            most = int(max(node.get("CPU", 0) for node in useful))
            raise SettingsError(
                f"no node of the Ray cluster has {threads} processors{' and a GPU' * gpus}: "
                f"give --threads {most} or less"
            )
        # if a node is lost, another one continues its task from the checkpoint
        remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=3)(do)
        yield Workers(lambda task: remote.remote(task).future(), jobs or room)
    finally:
        ray.shutdown()


def _pool(jobs: int) -> ProcessPoolExecutor:
    # spawned: a forked child would inherit torch's threads in an unknown state
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_with_parent)


def _with_parent() -> None:
    """Ignore Ctrl-C, which the parent handles, and end this process when its parent ends."""
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes at once: a job continues from its checkpoint later."""
    children = list((pool._processes or {}).values())
    for process in children:
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
