"""A study from its plan to its last job: what `imil study run` does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from imil.errors import ImilError, SettingsError
from imil.study.checks import prepare
from imil.study.folder import StudyFolder
from imil.study.plan import Plan, read_plan
from imil.study.schedule import Entry, Queue, entries
from imil.study.words import duration
from imil.study.work import Task, work
from imil.study.workers import Submit, outcome
from imil.training.folder import replacing

BEAT = 2.0  # seconds between looks at how far the jobs are


def begin(plan: Plan, folder: StudyFolder, cache: Path, console: Console) -> None:
    """Check everything that can be checked, and write down what is to be done.

    Raises: SettingsError, DataError: before the first job starts.
    """
    before = folder.plan.exists()
    if before:
        plan = _grown(read_plan(folder.plan), plan, folder)
    elif folder.path.is_dir() and any(p.name != ".lock" for p in folder.path.iterdir()):
        raise SettingsError(f"{folder.path} is not empty and no study: give a new folder")
    else:
        _write(plan, folder)  # first: a study that is killed from here on can go on
    try:
        prepare(plan, folder, console.print, cache=cache)
    except ImilError:
        if not before:
            folder.clear()  # nothing was trained: the next try finds it as it was
        raise
    _write(plan, folder)


def _write(plan: Plan, folder: StudyFolder) -> None:
    with replacing(folder.plan) as half:
        plan.write(half)


def _grown(before: Plan, now: Plan, folder: StudyFolder) -> Plan:
    """The new plan, if what was done so far is a part of it.

    Raises: SettingsError: something else has changed.
    """
    for name in ("data", "training", "splits"):
        old, new = getattr(before, name), getattr(now, name)
        if name == "splits":
            old, new = (one.model_copy(update={"count": 1}) for one in (old, new))
        if old != new:
            raise SettingsError(
                f"{folder.path} holds a study with another '{name}': give another --out, or the "
                "plan that it was begun with"
            )
    known = {reader.name: reader for reader in now.readers}
    for reader in before.readers:
        if known.get(reader.name, reader) != reader:
            raise SettingsError(
                f"the reader '{reader.name}' answered otherwise in {folder.path}: give the new "
                "reader another name"
            )
    return now


@contextmanager
def held(folder: StudyFolder) -> Iterator[None]:
    """Hold the study against other processes that would run it.

    Raises: SettingsError: one is running it.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"{folder.path} is being run by another process: wait for it, or watch it with "
            f"`imil study status {folder.path}`"
        ) from None
    try:
        yield
    finally:
        lock.release()


@dataclass
class Session:
    """One call of `imil study run`."""

    folder: StudyFolder
    plan: Plan
    cache: Path
    threads: int
    console: Console
    failed: list[tuple[Entry, str]] = field(default_factory=list)

    def run(self, submit: Submit, slots: int) -> None:
        """Do every job that is left; `failed` holds those that could not be done.

        Args:
            submit: hands a task to a worker.
            slots: how many may be under way.
        Raises: RoundPaused: a person stopped in the middle of a round.
        """
        queue = Queue(entries(self.plan, self.folder), tuple(self.plan.external))
        self._began, self._had = time.monotonic(), _epochs(queue)
        total = sum(one.epochs for one in queue.everything)
        running: dict[Future[str], Entry] = {}
        with self._progress() as bar:
            task = bar.add_task("Epochs", total=total, completed=self._had, said="")
            while queue.left or running:
                ready = queue.ready()
                machine = [one for one in ready if not self._asks(one)]
                for one in machine[: slots - len(running)]:
                    queue.take(one)
                    running[submit(self._task(one))] = one
                if not running and not machine:
                    self._ask(queue, ready[0], bar)
                done, _ = wait(running, BEAT, FIRST_COMPLETED)
                for future in done:
                    self._ended(queue, running.pop(future), outcome(future))
                at = ", ".join(one.job.name for one in running.values())
                bar.update(task, completed=_epochs(queue), said=at)

    def _ask(self, queue: Queue, one: Entry, bar: Progress) -> None:
        """A round that a person answers, at this terminal or through the link it shows."""
        bar.stop()
        queue.take(one)
        self.console.print(f"[bold]{one.job.name}[/bold] needs a reader: {one.arm.reader}.")
        torch.set_num_threads(self.threads)
        why = work(self.folder, self.plan, one.arm, one.job, cache=self.cache, console=self.console)
        self._ended(queue, one, why)
        bar.start()

    def _asks(self, one: Entry) -> bool:
        return one.arm.kind == "imil" and bool(self.plan.reader(one.arm.reader).asks)

    def _task(self, one: Entry) -> Task:
        job = one.job
        return Task(self.folder.path, job.arm, job.seed, job.split, self.cache, self.threads)

    def _ended(self, queue: Queue, one: Entry, why: str) -> None:
        stuck = queue.end(one, "failed" if why else "done")
        done = sum(entry.job.state == "done" for entry in queue.everything)
        place = f"{done} of {len(queue.everything)}"
        if not why:
            took = duration(one.job.status["seconds"])
            self.console.print(f"{place}: {one.job.name} done in {took}{self._left(queue)}")
            return
        self.failed.append((one, why))
        self.console.print(f"[bold red]Failed:[/bold red] {one.job.name}: {why}", highlight=False)
        for other in stuck:
            self.failed.append((other, f"it needs {one.job.name}"))

    def _left(self, queue: Queue) -> str:
        """How long the rest will take at the pace so far."""
        done = _epochs(queue)
        rest = sum(one.epochs for one in queue.everything) - done
        if done <= self._had or not rest:
            return ""
        pace = (time.monotonic() - self._began) / (done - self._had)
        return f"; about {duration(rest * pace)} left"

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}", style="dim"),
            console=self.console,
            disable=not self.console.is_terminal,
        )


def _epochs(queue: Queue) -> int:
    return sum(one.epochs_done() for one in queue.everything)
